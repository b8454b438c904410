/** A value in every form that programs write it: as it is, in URLs, JSON, shells, SQL and other quotes, and as base64. */
export function formsOf(value: string): string[] {
  const encoded = [0, 1, 2].flatMap((before) => base64(value, before));
  if (/^[\w.~-]+$/.test(value)) return [value, ...encoded];
  const json = JSON.stringify(value).slice(1, -1);
  const backslashes = value.replaceAll('\\', '\\\\');
  const url = percent(value, /[^\w.~-]/gu);
  const component = percent(value, /[^\w.~!'()*-]/gu);
  const escaped = [url, component, url.replaceAll('%20', '+'), percent(value, /[^\w.~!$&'()*+,;=:@/?-]/gu)];
  const forms = [
    value,
    ...escaped,
    ...escaped.map((text) => text.replace(/%[0-9A-F]{2}/g, (byte) => byte.toLowerCase())),
    json,
    JSON.stringify(json).slice(1, -1),
    json.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`),
    value.replaceAll("'", "'\\''"),
    value.replaceAll("'", `'"'"'`),
    value.replace(/["$`\\]/g, '\\$&'),
    value.replace(/[^\w./:@%+=,-]/gu, '\\$&'),
    backslashes.replaceAll("'", "\\'"),
    backslashes.replaceAll("'", "''"),
    value.replaceAll("'", "''"),
    ...encoded,
  ];
  return [...new Set(forms)];
}

function percent(value: string, meant: RegExp): string {
  return value.replace(meant, (character) => Buffer.from(character).toString('hex').toUpperCase().replace(/../g, '%$&'));
}

/** What base64 has for a value after so many other bytes, up to what it shares with what follows. */
function base64(value: string, before: number): string[] {
  const bytes = Buffer.concat([Buffer.alloc(before), Buffer.from(value)]);
  const text = bytes.toString('base64').slice(before === 0 ? 0 : before + 1, before === 0 ? undefined : Math.floor((bytes.length * 4) / 3));
  return [text, text.replace(/=+$/, ''), text.replace(/=+$/, '').replaceAll('+', '-').replaceAll('/', '_')];
}
