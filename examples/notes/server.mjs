import http from 'node:http';
import { text } from 'node:stream/consumers';
import { openDatabase } from './database.mjs';

const database = openDatabase();
const list = database.prepare('SELECT id, text FROM notes ORDER BY id');
const add = database.prepare('INSERT INTO notes (text) VALUES (?) RETURNING id, text');

/** Only the columns: the engine adds a property of its own to a row. */
const note = (row) => ({ id: row.id, text: row.text });
const notes = () => list.all().map(note);

const server = http.createServer((request, response) => {
  answer(request, response).catch((error) => {
    console.error(error);
    if (!response.headersSent) sendJson(response, 500, { error: 'something went wrong' });
  });
});

async function answer(request, response) {
  const { pathname } = new URL(request.url, 'http://localhost');
  switch (`${request.method} ${pathname}`) {
    case 'GET /':
      return send(response, 200, 'text/html; charset=utf-8', page(notes()));
    case 'GET /notes':
      return sendJson(response, 200, notes());
    case 'POST /notes':
      return post(request, response);
    default:
      return sendJson(response, 404, { error: `there is no ${request.method} ${pathname}` });
  }
}

/** A note as JSON, `{ "text": "…" }`, or from the form of the home page. */
async function post(request, response) {
  const body = await text(request);
  const isForm = request.headers['content-type']?.startsWith('application/x-www-form-urlencoded');
  const given = isForm ? new URLSearchParams(body).get('text') : parse(body)?.text;
  if (typeof given !== 'string' || given.trim() === '') return sendJson(response, 400, { error: 'a note needs a text' });
  const added = note(add.get(given.trim()));
  if (!isForm) return sendJson(response, 201, added);
  response.writeHead(303, { location: '/' }).end();
}

function parse(body) {
  try {
    return JSON.parse(body);
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

function page(all) {
  const items = all.map(({ text }) => `<li>${escapeHtml(text)}</li>`).join('\n');
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Notes on port ${server.address().port}</title>
<h1>Notes on port ${server.address().port}</h1>
<ul>
${items}
</ul>
<form method="post" action="/notes"><input name="text" aria-label="Note" required autofocus> <button>Add</button></form>
</html>
`;
}

function escapeHtml(value) {
  return value.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

function sendJson(response, status, value) {
  send(response, status, 'application/json', `${JSON.stringify(value)}\n`);
}

function send(response, status, type, body) {
  response.writeHead(status, { 'content-type': type }).end(body);
}

function stop() {
  server.close(() => database.close());
  server.closeAllConnections();
}

process.once('SIGINT', stop);
process.once('SIGTERM', stop);
server.listen(Number(process.env.PORT), 'localhost', () => console.log(`Notes on http://localhost:${server.address().port}`));
