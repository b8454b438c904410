import fs from 'node:fs';
import Database from 'libsql';

// A variable that the environment has already wins over .env.
if (fs.existsSync('.env')) process.loadEnvFile();

/** The database that DATABASE_URL names, as `file:` and a path relative to the working directory. */
export function openDatabase() {
  const url = process.env.DATABASE_URL;
  if (!url?.startsWith('file:')) throw new Error('DATABASE_URL is not set to file:PATH. Copy .env.example to .env.');
  return new Database(url.slice('file:'.length));
}
