import manifest from '../package.json' with { type: 'json' };

/** This package's version, e.g. `0.1.0`. */
export const VERSION: string = manifest.version;
