import { openDatabase } from './database.mjs';

/** In order, and never edited: the database counts in `user_version` how many of them it has had. */
const MIGRATIONS = ['CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)'];

const database = openDatabase();
const [{ user_version: done }] = database.prepare('PRAGMA user_version').all();
for (let version = done; version < MIGRATIONS.length; version += 1) {
  database.exec(`BEGIN; ${MIGRATIONS[version]}; PRAGMA user_version = ${version + 1}; COMMIT`);
}
console.log(done < MIGRATIONS.length ? `migrated from version ${done} to ${MIGRATIONS.length}` : `nothing to migrate at version ${done}`);
database.close();
