import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'notes-'));
// A database and a free port of the test's own, whatever .env says.
const options = { cwd: here, env: { ...process.env, PORT: '0', DATABASE_URL: `file:${path.join(folder, 'test.db')}` } };
let app;
let origin;

before(async () => {
  execFileSync(process.execPath, ['migrate.mjs'], options);
  app = spawn(process.execPath, ['server.mjs'], { ...options, stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await Promise.race([
    once(readline.createInterface(app.stdout), 'line'),
    once(app, 'exit').then(([code]) => assert.fail(`the app ended with ${code} before it listened`)),
  ]);
  origin = line.replace('Notes on ', '');
});

after(async () => {
  if (app && app.exitCode === null) {
    app.kill();
    await once(app, 'exit');
  }
  fs.rmSync(folder, { recursive: true });
});

const getNotes = async () => (await fetch(`${origin}/notes`)).json();
const post = (body, type) => fetch(`${origin}/notes`, { method: 'POST', body, headers: { 'content-type': type }, redirect: 'manual' });

test('a note that was posted is listed', async () => {
  const before = await getNotes();
  const response = await post(JSON.stringify({ text: 'buy milk' }), 'application/json');
  assert.equal(response.status, 201);
  const added = await response.json();
  assert.equal(added.text, 'buy milk');
  assert.deepEqual(await getNotes(), [...before, added]);
});

test('the form of the home page adds a note and leads back to the page, where it is shown as text', async () => {
  const response = await post(new URLSearchParams({ text: '<b>bold</b>' }).toString(), 'application/x-www-form-urlencoded');
  assert.equal(response.status, 303);
  assert.equal(response.headers.get('location'), '/');
  const page = await (await fetch(origin)).text();
  assert.match(page, /<li>&#60;b&#62;bold&#60;\/b&#62;<\/li>/);
});

test('a note without a text is refused', async () => {
  const before = await getNotes();
  for (const body of ['', '{', '{}', 'null', '{"text":" "}']) assert.equal((await post(body, 'application/json')).status, 400, body);
  assert.deepEqual(await getNotes(), before);
});

test('an unknown address is not found', async () => {
  assert.equal((await fetch(`${origin}/nothing`)).status, 404);
});

test('the migration does nothing the second time', () => {
  assert.match(execFileSync(process.execPath, ['migrate.mjs'], { ...options, encoding: 'utf8' }), /nothing to migrate/);
});

test('the app ends and closes its database when it is told to stop', async () => {
  app.kill();
  const [code] = await once(app, 'exit');
  assert.equal(code, 0);
  assert.deepEqual(fs.readdirSync(folder), ['test.db']);
});
