import { once } from "node:events";
import { cp, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Bed, openBed } from "./bed.ts";
import { type Ending, runTorment } from "./run-torment.ts";
import { type Torment, inWords } from "./torment.ts";

/** Each run leaves some objects, and each start of the ledger reads them all. */
const runsPerBed = 20;

export interface SeriesOptions {
  readonly say: (line: string) => void;
  /** Copies the whole stage of what broke into a directory that stays. */
  readonly keep?: boolean | undefined;
  /** No run begins later. */
  readonly seconds?: number | undefined;
  /** The run that is under way is given up. */
  readonly signal?: AbortSignal | undefined;
  readonly open?: () => Promise<Bed>;
}

export interface Counts {
  runs: number;
  committed: number;
  "rolled-back": number;
  /** Ended by a person's decision. */
  decided: number;
  startedByHand: number;
  /** The operation ended before it came to the step. */
  notReached: number;
  /** The blow met nobody, who was not there yet or not any more. */
  metNobody: number;
  broken: number;
}

/** One torment after the other, over one bed as long as it holds. */
export async function series(
  cells: readonly { readonly name: string; readonly torment: Torment }[],
  { say, keep = false, seconds = Infinity, signal, open = openBed }: SeriesOptions,
): Promise<Counts> {
  const counts: Counts = {
    runs: 0,
    committed: 0,
    "rolled-back": 0,
    decided: 0,
    startedByHand: 0,
    notReached: 0,
    metNobody: 0,
    broken: 0,
  };
  const endAt = performance.now() + seconds * 1_000;
  const interrupted = signal === undefined ? [] : [once(signal, "abort").then(() => null)];
  let bed: Bed | null = null;
  let runsHere = 0;
  const close = async (): Promise<void> => {
    const closing = bed?.journey;
    bed = null;
    runsHere = 0;
    await closing?.close().catch((error: unknown) => say(`  cannot end the bed: ${String(error)}`));
  };
  /** @returns null when it was interrupted. */
  const runOnce = async (name: string, torment: Torment): Promise<Ending | "broken" | null> => {
    if (runsHere === runsPerBed) await close();
    bed ??= await open();
    runsHere += 1;
    const run = runTorment(bed, torment).catch((error: unknown) => String(error));
    const ending = await Promise.race([run, ...interrupted]);
    if (ending === null) return null;
    const broken = typeof ending === "string" ? [ending] : ending.broken;
    say(`${name}: ${inWords(torment)} → ${typeof ending === "string" ? "broken" : endInWords(ending)}`);
    counts.runs += 1;
    if (typeof ending !== "string") count(counts, ending);
    if (broken.length === 0) return typeof ending === "string" ? "broken" : ending;
    counts.broken += 1;
    for (const line of broken) say(`  BROKEN: ${line}`);
    say(`  the orchestrator's last words:\n${await bed.journey.lastWords()}`);
    if (keep) say(`  kept: ${await keepStage(bed).catch(String)}`);
    await close();
    return "broken";
  };
  try {
    for (const { name, torment } of cells) {
      if (signal?.aborted || performance.now() > endAt) break;
      let ending = await runOnce(name, torment);
      // What stood in its way has been started anew by the way back.
      if (ending !== null && ending !== "broken" && ending.met === null)
        ending = await runOnce(`${name} again`, torment);
      if (ending === null) break;
    }
  } finally {
    await close();
  }
  say(JSON.stringify(counts));
  return counts;
}

function count(counts: Counts, { state, decisions, startedByHand, met }: Ending): void {
  if (state === "committed" || state === "rolled-back") counts[state] += 1;
  if (decisions.length > 0) counts.decided += 1;
  if (startedByHand) counts.startedByHand += 1;
  if (met === null) counts.notReached += 1;
  if (met === 0) counts.metNobody += 1;
}

function endInWords({ state, reason, decisions, met, startedByHand, ms }: Ending): string {
  const notes = [
    ...(met === null ? ["ended before that step"] : met === 0 ? ["met nobody"] : []),
    ...(decisions.length === 0 ? [] : [`after ${decisions.join(", ")}`]),
    ...(startedByHand ? ["started by hand"] : []),
    ...(reason === null ? [] : [reason]),
  ];
  return `${state} in ${(ms / 1_000).toFixed(1)} s${notes.length === 0 ? "" : `; ${notes.join("; ")}`}`;
}

async function keepStage({ journey }: Bed): Promise<string> {
  const kept = await mkdtemp(join(tmpdir(), "baton-torture-"));
  await cp(journey.harbour.directory, kept, {
    recursive: true,
    filter: (path) => !path.includes("/postgres/data") && !path.endsWith(".sock"),
  });
  return kept;
}
