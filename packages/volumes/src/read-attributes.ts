import { spawn } from "node:child_process";
import { AppError } from "@baton/protocol";

const timeoutMs = 120_000;

/**
 * Extended attributes of files, ACLs among them, by getfattr (Debian's `attr`): Node has no call for them. By xargs, since an argument of
 * Node's cannot be a name that is not UTF-8. Symbolic links are not followed.
 * @returns by path (bytes as latin1), sorted lines `name=0xvalue`; nothing for a file without any
 * @throws AppError `copier-unfit` where getfattr is missing or fails
 */
export async function readAttributes(
  paths: readonly Buffer[],
  signal?: AbortSignal,
): Promise<ReadonlyMap<string, string>> {
  const getfattr = ["getfattr", "-h", "-d", "-m", "-", "-e", "hex", "--absolute-names", "--"];
  const child = spawn("xargs", ["-0", "--no-run-if-empty", ...getfattr], {
    stdio: ["pipe", "pipe", "pipe"],
    env: { PATH: "/usr/local/bin:/usr/bin:/bin", LC_ALL: "C" },
    signal: AbortSignal.any([...(signal === undefined ? [] : [signal]), AbortSignal.timeout(timeoutMs)]),
    killSignal: "SIGKILL",
  });
  const output: Buffer[] = [];
  let errors = "";
  child.stdout.on("data", (chunk: Buffer) => output.push(chunk));
  child.stderr
    .setEncoding("latin1")
    .on("data", (chunk: string) => (errors = (errors + chunk).slice(-65_536)));
  // It may end before it has read them all: its status tells.
  child.stdin.on("error", () => undefined);
  child.stdin.end(Buffer.concat(paths.flatMap((path) => [path, Buffer.of(0)])));
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  }).catch((cause: unknown) => {
    signal?.throwIfAborted();
    throw unfit("xargs cannot be executed, or did not end", cause);
  });
  // What vanished meanwhile is left out by whoever walks the tree as well.
  const failed = errors
    .split("\n")
    .some((line) => line !== "" && !line.endsWith(": No such file or directory"));
  if (status === 127 || failed || status === null)
    throw unfit(status === 127 ? "getfattr is missing" : "getfattr failed", errors);
  return parse(Buffer.concat(output).toString("latin1"));
}

function unfit(why: string, cause: unknown): AppError {
  return new AppError(
    "copier-unfit",
    `cannot read extended attributes: ${why}; install the package attr, or look at the log`,
    { cause },
  );
}

function parse(output: string): ReadonlyMap<string, string> {
  return new Map(
    output.split("\n\n").flatMap((block) => {
      const [head, ...lines] = block.split("\n");
      const path = /^# file: (.*)$/.exec(head ?? "")?.[1];
      return path === undefined
        ? []
        : [
            [
              unescape(path),
              lines
                .filter((line) => line !== "")
                .toSorted()
                .join("\n"),
            ],
          ];
    }),
  );
}

const unescape = (text: string): string =>
  text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
