declare module 'cosmiconfig/dist/ExplorerSync.js' {
  /** cosmiconfig's search without its entry's own; what of it is used here. */
  export class ExplorerSync {
    constructor(options: {
      moduleName: string;
      searchPlaces: string[];
      searchStrategy: 'none';
      loaders: Record<string, (file: string, content: string) => unknown>;
      ignoreEmptySearchPlaces: boolean;
      mergeSearchPlaces: boolean;
      mergeImportArrays: boolean;
      applyPackagePropertyPathToConfiguration: boolean;
      cache: boolean;
      transform: (result: unknown) => unknown;
    });
    search(folder: string): { config: unknown; filepath: string } | null;
  }
}
