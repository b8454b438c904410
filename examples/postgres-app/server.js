import http from 'node:http';
import pg from 'pg';

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL });
const server = http.createServer(async (request, response) => {
  if (request.method === 'POST') {
    let title = '';
    for await (const part of request) title += part;
    await pool.query('insert into todo (title) values ($1)', [title]);
  }
  const { rows } = await pool.query('select title from todo order by id');
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(rows.map((row) => row.title)));
});
server.listen(process.env.PORT, '127.0.0.1', () => console.log(`listening on ${process.env.PORT}`));
process.on('SIGTERM', () => server.close(() => pool.end()));
