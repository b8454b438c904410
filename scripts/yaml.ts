import { parse } from 'yaml';

/** Lets code import a YAML file as its content, `import { preset } from './presets/neon.yaml'`: read when the package is built. */
export const yaml = {
  name: 'yaml',
  transform: (code: string, id: string) =>
    id.endsWith('.yaml') ? { code: `export const preset = ${JSON.stringify(parse(code))};`, moduleType: 'js' as const, map: null } : null,
};
