import { chmod, mkdir, readFile, realpath, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { runTool } from "./run-tool.ts";
import type { RunAs } from "./run-tool.ts";
import { codeOf, databaseUnavailable } from "./unavailable.ts";

/**
 * Creates the directory where it is missing and returns its real path. As root every directory made here
 * may be passed (not listed) by others, because the server below it runs as another user.
 */
export async function makeDirectory(path: string): Promise<string> {
  const root = process.getuid?.() === 0;
  const first = await mkdir(path, { recursive: true, mode: 0o700 });
  if (root && first !== undefined) {
    for (let made = resolve(path); made.length >= resolve(first).length; made = dirname(made)) {
      await chmod(made, 0o711);
    }
  }
  return realpath(path);
}

/**
 * Who Postgres' programs run as: `undefined` = ourselves. Postgres refuses root, so as root it is the
 * owner of the data directory, else the user `postgres`, else `nobody`. No user is created.
 *
 * @param passwd the text of /etc/passwd
 */
export async function chooseRunAs(dataDirectory: string, passwd?: string): Promise<RunAs | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const users = parsePasswd(passwd ?? (await readFile("/etc/passwd", "utf8")));
  const data = await stat(dataDirectory).catch((error: unknown) => {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  });
  if (data && data.uid !== 0) {
    const name = users.find((user) => user.uid === data.uid)?.name ?? `uid ${data.uid}`;
    return { name, uid: data.uid, gid: data.gid };
  }
  const user = ["postgres", "nobody"].flatMap((name) => users.filter((entry) => entry.name === name))[0];
  if (user && user.uid !== 0) return user;
  throw databaseUnavailable(
    "cannot start the embedded Postgres: it refuses to run as root, and there is neither a user postgres nor " +
      "nobody; run as an ordinary user or set BATON_DATABASE_URL",
  );
}

function parsePasswd(text: string): RunAs[] {
  return text.split("\n").flatMap((line) => {
    const [name, , uid, gid] = line.split(":");
    return name && uid && gid ? [{ name, uid: Number(uid), gid: Number(gid) }] : [];
  });
}

/** Fails when the user may not enter `directory`; asks Postgres itself, so ACLs and the like count. */
export async function assertReachable(directory: string, runAs: RunAs, postgres: string): Promise<void> {
  // `-C` only prints a setting: here it tells "no such file" (reachable) from "permission denied".
  const args = ["-C", "data_directory", "-D", directory];
  const { output } = await runTool(postgres, args, { runAs, timeoutMs: 10_000 });
  if (!output.includes("Permission denied")) return;
  const blocking = (await blockingDirectory(directory, runAs)) ?? directory;
  throw databaseUnavailable(
    `cannot start the embedded Postgres in ${directory}: it runs as the user ${runAs.name}, who may not enter ` +
      `${blocking}; choose another --state directory, for example below /var/lib`,
  );
}

/** The topmost directory on the way to `path` whose mode keeps the user out. */
async function blockingDirectory(path: string, user: RunAs): Promise<string | undefined> {
  const parts = path.split("/").filter(Boolean);
  for (let depth = 0; depth <= parts.length; depth += 1) {
    const directory = join("/", ...parts.slice(0, depth));
    const { uid, gid, mode } = await stat(directory);
    const enter = uid === user.uid ? 0o100 : gid === user.gid ? 0o010 : 0o001;
    if ((mode & enter) === 0) return directory;
  }
  return undefined;
}
