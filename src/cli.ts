#!/usr/bin/env node
import fs from 'node:fs';
import { createRequire, Module, wrap } from 'node:module';
import path from 'node:path';
import vm from 'node:vm';

/**
 * Starts `main.cjs` with the code that V8 compiled at an earlier run, which halves the start. Kept beside the runner in the
 * common git directory only, whose files never change; V8 refuses what another version of it made.
 */
const file = path.join(import.meta.dirname, 'main.cjs');
const isRunner = path.basename(path.dirname(import.meta.dirname)) === 'runner';
const cacheFile = path.join(import.meta.dirname, `main-${process.version}-${process.arch}.cache`);

const cachedData = isRunner ? compiledBefore() : undefined;
// The build writes nothing but ASCII.
const script = new vm.Script(wrap(fs.readFileSync(file, 'latin1')), { filename: file, ...(cachedData ? { cachedData } : {}) });
const module = new Module(file);
const require = createRequire(file);
// Its parts that are loaded later ask for it by its name, and must get this one.
require.cache[file] = module;
script.runInThisContext()(module.exports, require, module, file, path.dirname(file));

// What ran until the end is compiled then: a set-up's code is worth keeping.
const isSetUp = process.argv[2] === 'hook' || process.argv[2] === 'up';
if (isRunner && isSetUp && (!cachedData || script.cachedDataRejected)) {
  process.on('exit', () => {
    try {
      const temporary = `${cacheFile}.${process.pid}-${process.hrtime.bigint()}.tmp`;
      fs.writeFileSync(temporary, script.createCachedData(), { mode: 0o644 });
      fs.renameSync(temporary, cacheFile);
    } catch {
      // A disk that is full or read-only: the next run starts as slowly as this one.
    }
  });
}

function compiledBefore(): Buffer | undefined {
  try {
    return fs.readFileSync(cacheFile);
  } catch {
    // Not yet there, or not for this user: it is compiled again.
    return undefined;
  }
}
