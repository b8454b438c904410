/** What Compose looks for, in its order. */
export const NAMES = ['compose.yaml', 'compose.yml', 'docker-compose.yml', 'docker-compose.yaml'];
export const OVERRIDES = ['compose.override.yml', 'compose.override.yaml', 'docker-compose.override.yml', 'docker-compose.override.yaml'];

/** The names that a project's files may have, by the config's `files:`; not all of them need be there. */
export function composeNames(named: readonly string[] | undefined): readonly string[] {
  return named ?? [...NAMES, ...OVERRIDES];
}
