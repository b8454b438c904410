// Applies what is in migrations/ and was not applied yet, in order, each in a transaction of its own.
import fs from 'node:fs';
import pg from 'pg';

const client = new pg.Client(process.env.DATABASE_URL);
await client.connect();
await client.query('create table if not exists migration (name text primary key)');
const applied = new Set((await client.query('select name from migration')).rows.map(({ name }) => name));
for (const name of fs.readdirSync('migrations').sort()) {
  if (applied.has(name)) continue;
  await client.query('begin');
  await client.query(fs.readFileSync(`migrations/${name}`, 'utf8'));
  await client.query('insert into migration values ($1)', [name]);
  await client.query('commit');
  console.log(`applied ${name}`);
}
await client.end();
