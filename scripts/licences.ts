import fs from 'node:fs';
import path from 'node:path';

/** A package whose code is part of the bundle. */
interface BundledPackage {
  name: string;
  version: string;
  license: string;
  text: string;
}

/**
 * The licences of every package that these modules come from, as one text to be shipped with them.
 * @param modules paths of bundled modules @throws when a package has no licence text
 */
export function licencesOf(modules: string[]): string {
  const folders = new Set(modules.flatMap((module) => packageFolder(module) ?? []));
  const packages = [...folders].map(readPackage).sort((a, b) => a.name.localeCompare(b.name));
  const parts = packages.map(({ name, version, license, text }) => `${name} ${version} (${license})\n\n${text}\n`);
  return ['Coppice is bundled with the packages below.\n', ...parts].join(`\n${'-'.repeat(78)}\n\n`);
}

/** `…/node_modules/name` or `…/node_modules/@scope/name`; null for a module that is no package's. */
function packageFolder(module: string): string | null {
  return /^(?:\0)?(.*[\\/]node_modules[\\/](?:@[^\\/]+[\\/])?[^\\/]+)[\\/]/.exec(module)?.[1] ?? null;
}

function readPackage(folder: string): BundledPackage {
  const { name, version, license } = JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8'));
  const files = fs.readdirSync(folder).filter((file) => /^(licen[cs]e|notice)(\.|$)/i.test(file));
  const text = files.map((file) => fs.readFileSync(path.join(folder, file), 'utf8').trim()).join('\n\n') || licenceSection(folder);
  if (text === '') throw new Error(`${name} has no licence text, so it cannot be bundled`);
  return { name, version, license, text };
}

/** The last part of a readme, in packages that have their licence there. */
function licenceSection(folder: string): string {
  const [readme] = fs.readdirSync(folder).filter((file) => /^readme\.md$/i.test(file));
  const text = readme === undefined ? '' : fs.readFileSync(path.join(folder, readme), 'utf8');
  return /^#+ licen[cs]e\s*\n([\s\S]*)$/im.exec(text)?.[1]?.trim() ?? '';
}
