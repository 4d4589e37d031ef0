import { requireCookie } from "./environment.ts";
import { foreignUserRule } from "./tree-bounds.ts";
import { requireWholeProc } from "./process-status.ts";
import { scanOnce } from "./scan-round.ts";
import { scanUntilSettled } from "./settle.ts";
import type { ScanTreeOptions, TreeScan } from "./scan-facts.ts";

/** So many members are read again in each round, which shows who died meanwhile. With more it would cost too much. */
const FEW_MEMBERS = 500;

/**
 * Finds every living process of a tree: roots, bearers of the cookie, their descendants, and the sessions and
 * process groups that they lead. Looks until two successive rounds agree, ten at most; each blocks for some 5 ms at
 * 150 processes and 150 ms at 5,000, unless most are members already. Invisible, and excluded by nothing here: a
 * process that cleared its environment, left its session *and* lost its parent before anyone saw it.
 * @throws Error when /proc cannot be trusted to show every process; TypeError for an unusable cookie
 */
export async function scanTree(options: ScanTreeOptions): Promise<TreeScan> {
  requireCookie(options.cookie);
  const own = requireWholeProc();

  const isForeignUser = foreignUserRule(options.noNewPrivileges, own);
  return scanUntilSettled((before) => {
    const isLarge = before !== null && before.members.length > FEW_MEMBERS;
    return scanOnce(options, isForeignUser, isLarge ? before.members : []);
  });
}
