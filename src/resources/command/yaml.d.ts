/** A preset's file, read when the package is built. */
declare module '*.yaml' {
  export const preset: import('./recipe.ts').Preset;
}
