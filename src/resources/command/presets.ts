// Generated from presets/*.yaml by `npm run schema`.
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are the shell's
// biome-ignore-all format: as JSON has it
import type { Preset } from './recipe.ts';

/** The presets as their files have them, by name. */
export const PRESETS = {
  "gadget": {
    "description": "An environment of a Gadget app with this branch's code, made with `ggt`. The value is its URL.",
    "options": {
      "app": {
        "required": true,
        "description": "The app's name, as in `https://NAME.gadget.app`."
      },
      "from": {
        "default": "development",
        "description": "The environment to copy."
      }
    },
    "create": "set -e\n# It prints what went wrong on stdout, and nothing at all where `ggt configure` has JSON.\nlist=$(ggt env list --app \"$OPTION_APP\") || { printf '%s\\n' \"$list\" >&2; exit 1; }\ncase $list in\n*\"$COPPICE_NAME\"*) ;;\n*Name*Type*) ggt env create \"$COPPICE_NAME\" --from \"$OPTION_FROM\" --app \"$OPTION_APP\" >&2 ;;\n*) printf '%s\\n' \"$list\" 'ggt env list printed no table' >&2; exit 1 ;;\nesac\n# It cannot copy secrets, and names them.\nimported=$(ggt var import --from \"$OPTION_FROM\" --all --include-values --app \"$OPTION_APP\" --env \"$COPPICE_NAME\" 2>&1) ||\n  { printf '%s\\n' \"$imported\" >&2; exit 1; }\nprintf '%s\\n' \"$imported\" | sed 's/^Skipped secret variables[^:]*:/coppice: set these secrets of the new environment yourself:/' >&2\n# Only what git has: it would push ignored files too, and so what is in `.env`. And a worktree in the folder of another would\n# push that one's files, if it had no sync.json of its own.\nfolder=$(git rev-parse --absolute-git-dir)/coppice-$COPPICE_NAME\nrm -rf \"$folder\"\ngit checkout-index --all --prefix=\"$folder/\"\nmkdir -p \"$folder/.gadget\"\nprintf '{\"application\":\"%s\",\"environment\":\"%s\",\"environments\":{\"%s\":{\"filesVersion\":\"0\"}}}' \\\n  \"$OPTION_APP\" \"$COPPICE_NAME\" \"$COPPICE_NAME\" > \"$folder/.gadget/sync.json\"\n(cd \"$folder\" && ggt push --force --app \"$OPTION_APP\" --env \"$COPPICE_NAME\") >&2\n# With it, ggt in the worktree works on this environment.\nif git check-ignore -q .gadget/sync.json && { [ ! -e .gadget/sync.json ] || grep -qF \"\\\"environment\\\": \\\"$COPPICE_NAME\\\"\" .gadget/sync.json; }; then\n  mkdir -p .gadget\n  cp \"$folder/.gadget/sync.json\" .gadget/sync.json\nfi\nrm -rf \"$folder\"\necho \"https://$OPTION_APP--$COPPICE_NAME.gadget.app\"\n",
    "check": "ggt env list --app \"$OPTION_APP\" | grep -qF \"$COPPICE_NAME\"",
    "destroy": "set -e\n# A list that cannot be had is a failure; an environment that is not in it is gone.\nlist=$(ggt env list --app \"$OPTION_APP\") || { printf '%s\\n' \"$list\" >&2; exit 1; }\ncase $list in\n*\"$COPPICE_NAME\"*) ggt env delete \"$COPPICE_NAME\" --force --app \"$OPTION_APP\" ;;\n*Name*Type*) ;;\n*) printf '%s\\n' \"$list\" 'ggt env list printed no table' >&2; exit 1 ;;\nesac\n",
    "output": "text",
    "limit": 30
  },
  "k8s-namespace": {
    "description": "A Kubernetes namespace, made with `kubectl`. The value is its name.",
    "options": {
      "context": {
        "description": "The context of the kubeconfig. Default: the current one."
      }
    },
    "create": "set -e\nset -- ${OPTION_CONTEXT:+\"--context=$OPTION_CONTEXT\"}\nmark=$(kubectl \"$@\" get namespace \"$COPPICE_NAME\" --ignore-not-found -o 'jsonpath={.metadata.name}={.metadata.labels.coppice}')\ncase $mark in\n'' | \"$COPPICE_NAME=\" | \"$COPPICE_NAME=$COPPICE_WORKTREE\") ;;\n*) echo \"the namespace $COPPICE_NAME is marked as another worktree's: $mark\" >&2; exit 1 ;;\nesac\n[ -n \"$mark\" ] || kubectl \"$@\" create --validate=false -f - >&2 <<EOT\n{\"apiVersion\": \"v1\", \"kind\": \"Namespace\", \"metadata\": {\"name\": \"$COPPICE_NAME\", \"labels\": {\"coppice\": \"$COPPICE_WORKTREE\"}}}\nEOT\necho \"$COPPICE_NAME\"\n",
    "check": "kubectl ${OPTION_CONTEXT:+\"--context=$OPTION_CONTEXT\"} get namespace \"$COPPICE_NAME\"",
    "destroy": "set -e\nset -- ${OPTION_CONTEXT:+\"--context=$OPTION_CONTEXT\"}\nmark=$(kubectl \"$@\" get namespace \"$COPPICE_NAME\" --ignore-not-found -o 'jsonpath={.metadata.name}={.metadata.labels.coppice}')\ncase $mark in\n'') ;;\n\"$COPPICE_NAME=\" | \"$COPPICE_NAME=$COPPICE_WORKTREE\") kubectl \"$@\" delete namespace \"$COPPICE_NAME\" --ignore-not-found ;;\n*) echo \"the namespace $COPPICE_NAME is marked as another worktree's: $mark\" >&2; exit 1 ;;\nesac\n",
    "output": "text",
    "limit": 63
  },
  "neon": {
    "description": "A branch of a Neon project, made with `neonctl`. The value is its connection string.",
    "options": {
      "project": {
        "required": true,
        "description": "The project's id."
      },
      "parent": {
        "description": "The branch to start from. Default: the project's default branch."
      },
      "database": {
        "description": "The database of the connection string, when the project has several."
      },
      "role": {
        "description": "The role of the connection string, when the project has several."
      }
    },
    "create": "set -e\nlist=$(neonctl branches list --project-id \"$OPTION_PROJECT\" -o json)\ncase $list in\n*\"\\\"$COPPICE_NAME\\\"\"*) ;;\n*) neonctl branches create --project-id \"$OPTION_PROJECT\" --name \"$COPPICE_NAME\" ${OPTION_PARENT:+--parent \"$OPTION_PARENT\"} --no-secrets -o json >&2 ;;\nesac\nneonctl connection-string \"$COPPICE_NAME\" --project-id \"$OPTION_PROJECT\" \\\n  ${OPTION_DATABASE:+--database-name \"$OPTION_DATABASE\"} ${OPTION_ROLE:+--role-name \"$OPTION_ROLE\"}\n",
    "check": "neonctl branches get \"$COPPICE_NAME\" --project-id \"$OPTION_PROJECT\" -o json",
    "destroy": "set -e\n# A list that cannot be had is a failure; a branch that is not in it is gone.\nlist=$(neonctl branches list --project-id \"$OPTION_PROJECT\" -o json)\ncase $list in\n*\"\\\"$COPPICE_NAME\\\"\"*) neonctl branches delete \"$COPPICE_NAME\" --project-id \"$OPTION_PROJECT\" ;;\nesac\n",
    "output": "text"
  },
  "planetscale": {
    "description": "A branch of a PlanetScale MySQL database with a password of its own, made with `pscale` and `node`. The value is a `mysql://` URL.",
    "options": {
      "database": {
        "required": true,
        "description": "The database's name."
      },
      "org": {
        "description": "The organization. Default: the one that `pscale` is set to."
      },
      "parent": {
        "default": "main",
        "description": "The branch to start from."
      }
    },
    "create": "set -e\nset -- ${OPTION_ORG:+\"--org=$OPTION_ORG\"}\nlist=$(pscale branch list \"$OPTION_DATABASE\" \"$@\" -f json)\ncase $list in\n*\"\\\"$COPPICE_NAME\\\"\"*) ;;\n*) pscale branch create \"$OPTION_DATABASE\" \"$COPPICE_NAME\" --from \"$OPTION_PARENT\" --wait \"$@\" -f json >&2 ;;\nesac\n# A password is shown once, when it is made. They go with the branch.\npassword=$(pscale password create \"$OPTION_DATABASE\" \"$COPPICE_NAME\" \"$COPPICE_NAME\" \"$@\" -f json)\nprintf %s \"$password\" | node -e '\n  let printed = {};\n  try {\n    printed = JSON.parse(require(\"fs\").readFileSync(0, \"utf8\"));\n  } catch {} // its message would quote the password\n  const { username, plain_text: password, database_branch: branch } = printed;\n  const host = printed.access_host_url ?? branch?.access_host_url;\n  if (!username || !password || !host) {\n    console.error(\"pscale password create printed no JSON with username, plain_text and access_host_url\");\n    process.exit(1);\n  }\n  const database = process.env.OPTION_DATABASE;\n  const login = [username, password].map(encodeURIComponent).join(\":\");\n  const value = `mysql://${login}@${host}/${database}?sslaccept=strict`;\n  console.log(JSON.stringify({ value, host, username, password, database }));\n'\n",
    "check": "pscale branch show \"$OPTION_DATABASE\" \"$COPPICE_NAME\" ${OPTION_ORG:+\"--org=$OPTION_ORG\"} -f json",
    "destroy": "set -e\nset -- ${OPTION_ORG:+\"--org=$OPTION_ORG\"}\n# A list that cannot be had is a failure; a branch that is not in it is gone.\nlist=$(pscale branch list \"$OPTION_DATABASE\" \"$@\" -f json)\ncase $list in\n*\"\\\"$COPPICE_NAME\\\"\"*) pscale branch delete \"$OPTION_DATABASE\" \"$COPPICE_NAME\" --force \"$@\" ;;\nesac\n",
    "output": "json"
  },
  "supabase": {
    "description": "A preview branch of a Supabase project, made with `supabase`. Its addresses and keys become variables of the app.",
    "options": {
      "project": {
        "required": true,
        "description": "The project's ref."
      }
    },
    "create": "set -e\nlist=$(supabase branches list --remote=\"$OPTION_PROJECT\" -o json)\ncase $list in\n*\"\\\"$COPPICE_NAME\\\"\"*) ;;\n*) supabase branches create \"$COPPICE_NAME\" --remote=\"$OPTION_PROJECT\" -o json --yes >/dev/null ;;\nesac\n# Its database takes minutes to be ready, and it has no variables before.\nuntil variables=$(supabase branches get \"$COPPICE_NAME\" --remote=\"$OPTION_PROJECT\" -o env) && [ -n \"$variables\" ]; do\n  sleep 5\ndone\nprintf '%s\\n' \"$variables\"\n",
    "check": "supabase branches get \"$COPPICE_NAME\" --remote=\"$OPTION_PROJECT\" -o json",
    "destroy": "set -e\n# A list that cannot be had is a failure; a branch that is not in it is gone.\nlist=$(supabase branches list --remote=\"$OPTION_PROJECT\" -o json)\ncase $list in\n*\"\\\"$COPPICE_NAME\\\"\"*) supabase branches delete \"$COPPICE_NAME\" --remote=\"$OPTION_PROJECT\" --yes ;;\nesac\n",
    "output": "env",
    "value": "POSTGRES_URL"
  },
  "turso": {
    "description": "A Turso database, a copy of another, made with `turso`. The value is its URL; `{{resources.NAME.token}}` is its token.",
    "options": {
      "database": {
        "required": true,
        "description": "The database to copy."
      },
      "group": {
        "description": "The group to make it in. Default: as `turso` has it."
      }
    },
    "create": "set -e\nlist=$(turso db list)\ncase $list in\n*\"$COPPICE_NAME\"*) ;;\n*) turso db create \"$COPPICE_NAME\" --from-db \"$OPTION_DATABASE\" ${OPTION_GROUP:+--group \"$OPTION_GROUP\"} --wait >&2 ;;\nesac\nurl=$(turso db show \"$COPPICE_NAME\" --url)\ntoken=$(turso db tokens create \"$COPPICE_NAME\")\nprintf '{\"value\":\"%s\",\"token\":\"%s\"}\\n' \"$url\" \"$token\"\n",
    "check": "turso db show \"$COPPICE_NAME\" --url",
    "destroy": "set -e\n# A list that cannot be had is a failure; a database that is not in it is gone.\nlist=$(turso db list)\ncase $list in\n*\"$COPPICE_NAME\"*) turso db destroy \"$COPPICE_NAME\" --yes ;;\n*) exit 0 ;;\nesac\n# It ends with 0 also when it could not ask for the database, and has destroyed nothing.\nlist=$(turso db list)\ncase $list in\n*\"$COPPICE_NAME\"*) echo \"turso db destroy left $COPPICE_NAME there\" >&2; exit 1 ;;\nesac\n",
    "output": "json"
  },
  "upsun": {
    "description": "An environment of an Upsun project, branched from another, made with `upsun`. The value is its URL.",
    "options": {
      "project": {
        "required": true,
        "description": "The project's id."
      },
      "parent": {
        "default": "main",
        "description": "The environment to branch from."
      }
    },
    "create": "set -e\nlist=$(upsun environment:list --project \"$OPTION_PROJECT\" --pipe)\ncase $list in\n*\"$COPPICE_NAME\"*) ;;\n*) upsun environment:branch \"$COPPICE_NAME\" \"$OPTION_PARENT\" --project \"$OPTION_PROJECT\" --no-checkout --yes >&2 ;;\nesac\nupsun environment:url --project \"$OPTION_PROJECT\" -e \"$COPPICE_NAME\" --primary --pipe\n",
    "check": "upsun environment:list --project \"$OPTION_PROJECT\" --pipe | grep -qxF \"$COPPICE_NAME\"",
    "destroy": "set -e\n# A list that cannot be had is a failure; an environment that is not in it is gone.\nlist=$(upsun environment:list --project \"$OPTION_PROJECT\" --pipe)\ncase $list in\n*\"$COPPICE_NAME\"*) upsun environment:delete \"$COPPICE_NAME\" --project \"$OPTION_PROJECT\" --delete-branch --yes ;;\n*) exit 0 ;;\nesac\n# It ends with 0 also when it leaves an environment that others were branched from.\nlist=$(upsun environment:list --project \"$OPTION_PROJECT\" --pipe)\ncase $list in\n*\"$COPPICE_NAME\"*) echo \"upsun environment:delete left $COPPICE_NAME there\" >&2; exit 1 ;;\nesac\n",
    "output": "text"
  }
} as const satisfies Record<string, Preset>;
