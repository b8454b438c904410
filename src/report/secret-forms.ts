/** A value in every form that programs write it: as it is, in URLs, JSON, shells, SQL and other quotes, and as base64. */
export function formsOf(value: string): string[] {
  const base64 = Buffer.from(value).toString('base64');
  const encoded = [base64, base64.replace(/=+$/, '').replaceAll('+', '-').replaceAll('/', '_')];
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
