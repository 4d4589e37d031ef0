import { AppError, type RoleFence, errorTable, isAppError } from "@baton/protocol";
import { type Clock, systemClock } from "../clock.ts";
import type { LoginAnswer, Remnant, RoleAdmin, TryLogin } from "./role-admin.port.ts";

const timesInARow = 3;
const betweenTriesMs = 200;
const tryTimeoutMs = 5_000;

/**
 * Sees that the old password is let in, as this role, and that the role has no power by which it could get around its fence: without it a later refusal would
 * prove nothing. Before anything is disabled, and to be remembered.
 *
 * @throws AppError `fence-unproven` saying what is wrong; what `RoleAdmin` and `TryLogin` throw when they do not know.
 */
export async function assertRoleOpen(params: {
  readonly admin: Pick<RoleAdmin, "remnants">;
  readonly role: string;
  readonly tryLogin: TryLogin;
  readonly timeoutMs: number;
}): Promise<void> {
  const { admin, role, tryLogin, timeoutMs } = params;
  const login = await tryLogin({ timeoutMs });
  if (login.kind === "refused")
    throw unproven(
      role,
      `the server refuses its password already (${login.code}), so a refusal later would prove nothing; let somebody find out who changed it`,
    );
  if (login.as !== role)
    throw unproven(role, `who logs in with its password is "${login.as}" at the server; name that role`);
  const found = await admin.remnants({ role, timeoutMs });
  const powers = found.filter(({ kind }) => kind === "power");
  if (powers.length > 0) throw unproven(role, inWords(powers));
}

/**
 * Takes a role's way to its database away for good and proves it: disables the role, sees the old password refused several times in a row, then ends the role's
 * sessions until several listings in a row show that nothing of it is left. Idempotent: may be repeated as a whole at any time.
 *
 * Nothing has to settle afterwards: what a connection sent is carried out by its session, and is committed or rolled back before that is gone.
 *
 * @param params.deadlineMs longer than the server waits for a password (`authentication_timeout`, 60 s unless it was changed): who is silent in the middle of a login
 * may be of this role, and is waited for.
 * @throws AppError `fence-unproven` when something is left, or it is not known, until the deadline, and at once for what does not go by itself (a prepared
 * transaction, a power, a login that is allowed again): then nothing may be handed over; what `RoleAdmin` throws.
 */
export async function fenceRole(params: {
  readonly admin: RoleAdmin;
  readonly role: string;
  readonly tryLogin: TryLogin;
  readonly deadlineMs: number;
  readonly clock?: Clock | undefined;
}): Promise<RoleFence> {
  const { admin, role, tryLogin, clock = systemClock } = params;
  const endsAt = clock.nowMs() + params.deadlineMs;
  const time = { clock, endsAt, leftMs: () => Math.max(1, endsAt - clock.nowMs()) };

  await admin.disable({ role, timeoutMs: time.leftMs() });
  const disabledAt = new Date().toISOString();
  // Before the listings: only a server that refuses the login is one whose sessions do not come back.
  const refused = await waitForRefusals({ role, tryLogin, time });
  const ended = await waitForNone({ admin, role, time });
  return { role, disabledAt, refused, ended: [...ended], noneAt: new Date().toISOString() };
}

interface Time {
  readonly clock: Clock;
  readonly endsAt: number;
  readonly leftMs: () => number;
}

async function waitForRefusals(params: {
  readonly role: string;
  readonly tryLogin: TryLogin;
  readonly time: Time;
}): Promise<RoleFence["refused"]> {
  const { role, tryLogin, time } = params;
  let tries = 0;
  let code = "";
  await inARow(role, time, async (timeoutMs) => {
    tries += 1;
    const answer: LoginAnswer = await tryLogin({ timeoutMs });
    if (answer.kind === "let-in") return "its old password was let in";
    code = answer.code;
    return null;
  });
  return { at: new Date().toISOString(), code, tries };
}

/** The ids of what was seen until nothing was. */
async function waitForNone(params: {
  readonly admin: RoleAdmin;
  readonly role: string;
  readonly time: Time;
}): Promise<readonly string[]> {
  const { admin, role, time } = params;
  const seen = new Set<string>();
  /** Those that the first listing shows may have been let in before the role was disabled; later ones were not. */
  let suspects: ReadonlySet<string> | null = null;
  await inARow(role, time, async (timeoutMs) => {
    const found = await admin.remnants({ role, timeoutMs });
    suspects ??= new Set(idsOf(found, "starting"));
    const early = suspects;
    const left = found.filter(({ kind, id }) => kind !== "starting" || early.has(id));
    const passing = left.filter(({ kind }) => kind === "session" || kind === "starting");
    for (const { id } of passing) seen.add(id);
    if (passing.some(({ kind }) => kind === "session")) await admin.endSessions({ role, timeoutMs });
    if (left.length === 0) return null;
    // A session that is there may still change what stands: prepare a transaction, or finish one.
    if (passing.length === 0) throw unproven(role, inWords(left));
    return inWords(left);
  });
  return [...seen];
}

/**
 * Asks until there was nothing to say several times in a row. No answer begins the count anew, as an answer that something is left does.
 *
 * @param ask what is wrong, null for nothing
 */
async function inARow(
  role: string,
  { clock, endsAt, leftMs }: Time,
  ask: (timeoutMs: number) => Promise<string | null>,
): Promise<void> {
  let left: string | null = null;
  let unclear: AppError | null = null;
  for (let times = 0; ;) {
    try {
      const wrong = await ask(Math.min(tryTimeoutMs, leftMs()));
      times = wrong === null ? times + 1 : 0;
      left = wrong;
      unclear = null;
    } catch (error) {
      // Nothing changes by asking again for what needs a person.
      if (!isAppError(error) || errorTable[error.code].retry !== "after") throw error;
      times = 0;
      unclear = error;
    }
    if (times >= timesInARow) return;
    // The last try has little time, so that it tells less than what was seen before it.
    if (clock.nowMs() + betweenTriesMs >= endsAt)
      throw unproven(
        role,
        left ?? unclear?.message ?? "the time is up before it was seen often enough",
        unclear ?? undefined,
      );
    await clock.sleep(betweenTriesMs);
  }
}

const idsOf = (found: readonly Remnant[], kind: Remnant["kind"]): readonly string[] =>
  found.filter((each) => each.kind === kind).map(({ id }) => id);

const words: Readonly<Record<Remnant["kind"], string>> = {
  session: "sessions are still there",
  starting: "connections are being let in, and it is not known for whom",
  prepared:
    "prepared transactions can still be committed, and whoever knows what they are must do so or roll them back",
  login: "somebody let it log in again",
  power: "it has powers by which it can get around its fence, which must be taken from it beforehand",
};

const shown = 3;
function inWords(left: readonly Remnant[]): string {
  const kinds = [...new Set(left.map(({ kind }) => kind))];
  return kinds
    .map((kind) => {
      const ids = idsOf(left, kind);
      const more = ids.length > shown ? `, and ${ids.length - shown} more` : "";
      return `${words[kind]} (${ids.slice(0, shown).join(", ")}${more})`;
    })
    .join("; ");
}

const unproven = (role: string, why: string, cause?: unknown): AppError =>
  new AppError(
    "fence-unproven",
    `cannot prove that the role "${role}" is shut out: ${why}; nothing may be handed over until it is`,
    { cause },
  );
