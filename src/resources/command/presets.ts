import { preset as gadget } from './presets/gadget.yaml';
import { preset as k8sNamespace } from './presets/k8s-namespace.yaml';
import { preset as neon } from './presets/neon.yaml';
import { preset as planetscale } from './presets/planetscale.yaml';
import { preset as supabase } from './presets/supabase.yaml';
import { preset as turso } from './presets/turso.yaml';
import { preset as upsun } from './presets/upsun.yaml';

/** The presets by name. */
export const PRESETS = { gadget, 'k8s-namespace': k8sNamespace, neon, planetscale, supabase, turso, upsun };
