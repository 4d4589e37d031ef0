import { AppError } from "@baton/protocol";

/** How restic tells what went wrong; its exit status says it from version 0.17 on only. The first that is there counts. */
const failures = [
  {
    sign: /wrong password or no key found|ciphertext verification failed/,
    code: "repository-key",
    why: "the key is not the repository's; give the one that it was made with",
  },
  {
    sign: /repository is already locked(?: exclusively)? by (PID \d+ on \S+)/,
    code: "repository-locked",
    why: "it is locked by $1, which lives or did so within half an hour; wait for it",
  },
  {
    sign: /unable to create lock/,
    code: "repository-locked",
    why: "it is locked; wait for whoever works on it",
  },
  {
    sign: /no space left on device|ENOSPC/,
    code: "volume-space",
    why: "there is no room left; make some",
  },
  {
    sign: /Access Denied|AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|access key Id you provided does not exist|signature.*does not match|403 Forbidden/i,
    code: "storage-credentials",
    why: "the storage refuses the key; look at the storage's credentials",
  },
  {
    sign: /bucket does not exist/,
    code: "storage-bucket-missing",
    why: "its bucket does not exist; make it",
  },
  {
    sign: /Is there a repository at the following location|repository does not exist/,
    code: "not-found",
    why: "there is no repository; nothing was ever copied to it",
  },
] as const;

const unreachable =
  /connection refused|no such host|i\/o timeout|connection reset|no route to host|network is unreachable|server misbehaving/;

/** What a failed run of restic means, by what it wrote last. Neither key is in it: restic has them by its environment and writes none. */
export function failureOf(what: string, status: number, errors: readonly string[]): AppError {
  const text = errors.join("\n");
  const meta = { status, errors: errors.slice(-5) };
  // A store that does not answer looks like a repository that is not there.
  if (unreachable.test(text))
    return new AppError(
      "storage-unreachable",
      `cannot ${what}: the storage does not answer; try again when it does`,
      { meta },
    );
  for (const { sign, code, why } of failures) {
    const match = sign.exec(text);
    if (match !== null)
      return new AppError(code, `cannot ${what}: ${why.replace("$1", match[1] ?? "")}`, { meta });
  }
  return new AppError(
    "copier-failed",
    `cannot ${what}: restic ended with status ${status}; see the log for what it said`,
    { meta },
  );
}
