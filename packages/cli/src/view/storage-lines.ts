import type { HandedOver, ProbeRecord, Rotation, StorageManifest, StorageView } from "@baton/protocol";
import { type Paint, fit, formatMs, oneLine, plain, stamp, wrap } from "./text.ts";

export interface StorageLinesOptions {
  /** Columns of the terminal. */
  readonly width: number;
  /** Wall clock in ms. */
  readonly now: number;
  readonly paint?: Paint | undefined;
}

type Test = NonNullable<ProbeRecord["verdict"]>["tests"][number];

const labelWidth = 14;
const colors = { fit: "green", unfit: "red", unknown: "yellow" } as const;

/** One line a storage: name, whether it is fit, where it is, when it was probed, who uses it. */
export function renderStorageList(
  views: readonly StorageView[],
  { width, now, paint = plain }: StorageLinesOptions,
): readonly string[] {
  const rows = views.map(({ manifest, fitness, probe, applications }) => [
    manifest.name,
    fitness,
    placeOf(manifest),
    probe === null ? "not probed" : `probed ${ago(probe.testedAt, now)}`,
    applications.length === 0 ? "not used" : applications.map(({ name }) => name).join(", "),
  ]);
  const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row, n) => {
    const line = row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd();
    const { fitness = "unknown" } = views[n] ?? {};
    const [before = "", ...after] = fit(line, width).split(` ${fitness} `);
    return after.length === 0
      ? before
      : `${before} ${paint(colors[fitness], fitness)} ${after.join(` ${fitness} `)}`;
  });
}

/** The whole view of a storage: where it is, what the newest probe saw, how long it waits, who uses it. */
export function renderStorage(view: StorageView, options: StorageLinesOptions): readonly string[] {
  const { manifest, fitness, reason, probe, applications } = view;
  const { now, width, paint = plain } = options;
  const row = rows(width);
  const tests = probe?.verdict?.tests ?? [];
  const failed = tests.filter(({ passed }) => !passed);
  // What a failed test says is not said twice.
  const says = fitness === "unfit" && failed.every(({ required }) => !required) ? (reason ?? "") : "";
  return [
    `${paint("bold", manifest.name)}  ${paint(colors[fitness], fitness)}`,
    ...(says === "" ? [] : row("", oneLine(says))),
    ...placeRows(manifest, row),
    ...row("server", serverOf(probe)),
    ...row("probed", probedWhen(probe, now)),
    ...row("If-Match", ifMatchOf(manifest, probe)),
    ...failed.flatMap((test) => testLines(test, options)),
    ...inFlightRows(view, now, row),
    ...row(
      "used by",
      applications
        .map(({ name, placements }) => `${name} (${counted(placements, "placement")})`)
        .join(", ") || "no application",
    ),
  ];
}

/** Every test of the newest probe as it came out, and a sentence for the whole. */
export function renderProbe(view: StorageView, options: StorageLinesOptions): readonly string[] {
  const { manifest, fitness, reason, probe } = view;
  const { now, width, paint = plain } = options;
  const row = rows(width);
  const tests = probe?.verdict?.tests ?? [];
  return [
    `${paint("bold", manifest.name)}  ${paint(colors[fitness], fitness)}`,
    ...(tests.length === 0 && reason !== null ? row("", oneLine(reason)) : []),
    ...row("server", serverOf(probe)),
    ...row("If-Match", ifMatchOf(manifest, probe)),
    ...tests.flatMap((test) => testLines(test, options)),
    ...(view.inFlight === null ? [] : inFlightRows(view, now, row)),
  ];
}

/** What a rotation proved, and what is left to do. */
export function renderRotation(rotation: Rotation, { width }: StorageLinesOptions): readonly string[] {
  const { storage, endpoints, keys, runningOn, placements, oldRefused } = rotation;
  const row = rows(width);
  const left =
    runningOn.length === 0
      ? []
      : row(
          "still running",
          `${runningOn.join(", ")} with the data key they were started with: leave the old one enabled until each was started again`,
        );
  const old =
    oldRefused === null
      ? row(
          "old keys",
          `not looked at; once they are disabled at the store, give --old FILE to see that they are refused`,
        )
      : row(
          "old keys",
          `refused at ${oldRefused.map(({ endpoint, denials }) => `${endpoint} (${denials} times in a row)`).join(", ")}`,
        );
  return [
    `the keys of ${storage} work at ${endpoints.join(", ")}`,
    ...keys.flatMap(({ role, cluster, file, counts }) =>
      row(`${role} key`, `${cluster === null ? "" : `of ${cluster}: `}${file}: ${countsWhen[counts]}`),
    ),
    ...placements.flatMap((each) => row(each.application, handedOver(each))),
    ...left,
    ...old,
  ];
}

function handedOver({ placement, cluster, taken, error }: HandedOver): string {
  const where = `${placement} on ${cluster}`;
  if (taken === null)
    return `${where}: NOT handed over: ${oneLine(error?.detail ?? "")}; leave the old pair enabled, and ask again`;
  const { fetchedAt, oldUntil } = taken;
  const has =
    fetchedAt === null
      ? "its agent has the key, the application has not asked for it yet"
      : `the application has the key since ${stamp(fetchedAt)}`;
  const old = oldUntil === null ? "" : `; leave the old one enabled until ${stamp(oldUntil)}`;
  return `${where}: ${has}${old}`;
}

const countsWhen = {
  "at-once": "counts at once, wherever the file is mounted",
  "handed-over": "counts for what runs, once it asked for it, and for what starts",
  "next-start": "counts from an application's next start",
  placement: "given to no application: the fence makes a key for every placement",
} as const satisfies Record<Rotation["keys"][number]["counts"], string>;

type Row = (label: string, text: string) => readonly string[];

const rows =
  (width: number): Row =>
  (label, text) =>
    wrap(text, width - labelWidth - 2).map(
      (line, n) => `  ${(n === 0 ? label : "").padEnd(labelWidth)}${line}`,
    );

function testLines({ name, passed, required, detail }: Test, { width, paint = plain }: StorageLinesOptions) {
  // What was seen where all is well is said in a word: what follows it is about the refusal that was wanted.
  if (passed)
    return hanging(`✔ ${name} (${oneLine(detail).split(": ")[0]})`, 2, 4, width, (line) =>
      paint("green", line),
    );
  const color = required ? "red" : "yellow";
  return [
    ...hanging(`${required ? "✖" : "!"} not true: ${name}`, 2, 4, width, (line) => paint(color, line)),
    ...hanging(`seen: ${oneLine(detail)}`, 6, 6, width, (line) => paint("dim", line)),
  ];
}

/** Wrapped lines, the first with its own indent. */
function hanging(
  text: string,
  first: number,
  others: number,
  width: number,
  color: (line: string) => string,
): readonly string[] {
  return wrap(text, width - others).map((line, n) => " ".repeat(n === 0 ? first : others) + color(line));
}

const placeOf = ({ endpoint, bucket, prefix }: StorageManifest): string =>
  `${endpoint.replace(/\/$/, "")}/${bucket}/${prefix}`;

function placeRows(manifest: StorageManifest, row: Row): readonly string[] {
  const { endpoint, region, addressing = "path", ca, clusters = {}, otherEndpoints = [] } = manifest;
  const { credentials, fence, bucket, prefix } = manifest;
  const trust = ca === undefined ? "" : ", own certificates";
  return [
    ...row("bucket", `${bucket}, below ${prefix}`),
    ...row("endpoint", `${endpoint}  (${region}, ${addressing} style${trust})`),
    ...Object.entries(clusters).flatMap(([cluster, own]) =>
      row("", `${own.endpoint ?? endpoint}  (from ${cluster})`),
    ),
    ...otherEndpoints.flatMap((other) => row("", `${other}  (of others)`)),
    ...row("control key", credentials.control.file),
    ...row("data key", credentials.data.file),
    ...Object.entries(credentials.dataByCluster).flatMap(([cluster, { file }]) =>
      row("", `${file}  (on ${cluster})`),
    ),
    ...row(
      "fence",
      fence === undefined
        ? "none: only a proven stop passes this storage on"
        : `${fence.provider}, a key for every placement`,
    ),
  ];
}

function serverOf(probe: ProbeRecord | null): string {
  const verdict = probe?.verdict ?? null;
  if (verdict === null) return "not known";
  const { server, clockSkewMs } = verdict;
  const name = server === null ? "does not say what it is" : oneLine(server);
  if (clockSkewMs === null) return `${name}; its clock is not known`;
  const apart = Math.abs(clockSkewMs);
  // It counts whole seconds.
  if (apart < 1_500) return `${name}; its clock agrees`;
  return `${name}; its clock is ${formatMs(apart)} ${clockSkewMs > 0 ? "ahead" : "behind"}`;
}

function probedWhen(probe: ProbeRecord | null, now: number): string {
  if (probe === null) return "never";
  const when = `${stamp(probe.testedAt)}, ${ago(probe.testedAt, now)}`;
  const { verdict } = probe;
  if (verdict === null) return `${when}: no verdict`;
  const passed = verdict.tests.filter((test) => test.passed).length;
  const tests = `${passed} of ${counted(verdict.tests.length, "test")} as wanted`;
  return `${when}${probe.thorough ? ", thorough" : ""}: ${tests}`;
}

function ifMatchOf({ ifMatch }: StorageManifest, probe: ProbeRecord | null): string {
  const form = probe?.verdict?.ifMatch ?? ifMatch;
  return form === undefined ? "not known" : { quoted: "ETags in quotes", bare: "ETags without quotes" }[form];
}

function inFlightRows(view: StorageView, now: number, row: Row): readonly string[] {
  const { endpoints = [] } = view.inFlight ?? {};
  return [
    ...row("in flight", inFlightOf(view, now)),
    ...endpoints.flatMap(({ endpoint, ms, ended }) =>
      row("", `${endpoint}  ${ms === null ? "no bound" : formatMs(ms)}: ${oneLine(ended)}`),
    ),
  ];
}

function inFlightOf({ inFlight, manifest }: StorageView, now: number): string {
  if (inFlight === null) return `not measured; \`baton storage probe ${manifest.name} --in-flight\` does`;
  const when = `measured ${ago(inFlight.testedAt, now)}`;
  if (inFlight.error !== null) return `not known (${when}): ${oneLine(inFlight.error.detail)}`;
  if (inFlight.ms === null) return `no bound was found (${when})`;
  return `the rest of a body is waited for ${formatMs(inFlight.ms)} (${when})`;
}

/** "3 min ago"; in whole units, rounded down. */
function ago(moment: string, now: number): string {
  const seconds = Math.floor((now - Date.parse(moment)) / 1_000);
  if (seconds < 1) return "just now";
  for (const [unit, length] of [
    ["d", 86_400],
    ["h", 3_600],
    ["min", 60],
  ] as const)
    if (seconds >= length) return `${Math.floor(seconds / length)} ${unit} ago`;
  return `${seconds} s ago`;
}

const counted = (n: number, what: string): string => `${n} ${what}${n === 1 ? "" : "s"}`;
