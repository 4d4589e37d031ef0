import * as v from "valibot";

/*
 * The schemas that valibot has too, but with another contract: its objects and records take arrays, tell of one unknown field only and of a
 * missing one without saying what belongs there; its records leave out names like "constructor"; its numbers may be infinite; its URLs may
 * have blanks around them, which stay.
 */

type Issue = v.BaseIssue<unknown>;
type Run = v.GenericSchema["~run"];

/** What `~run` is given and gives back: valibot's own types of it are for readers, which write nothing. */
interface Dataset {
  typed?: boolean;
  value: unknown;
  issues?: Issue[] | undefined;
}

interface Complaint {
  readonly kind?: "schema" | "validation";
  readonly type: string;
  readonly expected: string;
  readonly input?: unknown;
  readonly key?: string;
  readonly issues?: readonly Issue[];
}

type Complain = (complaint: Complaint) => void;
type Config = Parameters<Run>[1];

/** A part of a value, read by its schema: its issues become the whole's, below its key. */
function readPart(dataset: Dataset, input: unknown, key: string, part: ReturnType<Run>): unknown {
  for (const issue of part.issues ?? []) {
    const path = [{ type: "unknown", origin: "value", input, key, value: undefined }, ...(issue.path ?? [])];
    (dataset.issues ??= []).push(Object.assign(issue, { path }));
  }
  if (!part.typed) dataset.typed = false;
  return part.value;
}

/* @__NO_SIDE_EFFECTS__ */
function make<In, Out, More extends object>(
  more: More,
  read: (dataset: Dataset, complain: Complain, config: Config) => void,
): v.GenericSchema<In, Out> & More {
  const run = (dataset: Dataset, config: Config): Dataset => {
    read(
      dataset,
      ({ kind = "schema", type, expected, key, ...other }) => {
        const path = key === undefined ? {} : { path: [{ type: "unknown", origin: "value", key }] };
        const context = { kind, type, reference: v.unknown, expects: expected };
        v._addIssue(context as never, type, dataset as never, config, { ...other, ...path } as never);
      },
      config,
    );
    return dataset;
  };
  return Object.assign(v.unknown(), more, { "~run": run }) as unknown as v.GenericSchema<In, Out> & More;
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** As JSON and literals make it; an instance of a class has no names of its own choice. */
function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  if (!isObject(value)) return false;
  const { constructor } = value;
  return typeof constructor !== "function" || Object.hasOwn(Object(constructor.prototype), "isPrototypeOf");
}

type Input<E extends v.ObjectEntries> = v.InferInput<v.StrictObjectSchema<E, undefined>>;
type Output<E extends v.ObjectEntries> = v.InferOutput<v.StrictObjectSchema<E, undefined>>;

/** An object of these fields, and what it is made of, so that another one can have them too. */
export type ObjectOf<E extends v.ObjectEntries> = v.GenericSchema<Input<E>, Output<E>> & {
  readonly entries: E;
};

/* @__NO_SIDE_EFFECTS__ */
function fields<E extends v.ObjectEntries>(entries: E, unknownAllowed: boolean): ObjectOf<E> {
  return make({ entries }, (dataset, complain, config) => {
    const input = dataset.value;
    if (!isObject(input)) return complain({ type: "object", expected: "object" });
    const output: Record<string, unknown> = {};
    Object.assign(dataset, { typed: true, value: output });
    for (const [key, entry] of Object.entries(entries)) {
      // One that is missing is read all the same: only its own schema knows whether it may, and what was expected.
      const value = readPart(dataset, input, key, entry["~run"]({ value: input[key] }, config));
      if (value !== undefined || key in input) output[key] = value;
    }
    if (unknownAllowed) return;
    const unknown: string[] = [];
    for (const key in input) if (!Object.hasOwn(entries, key)) unknown.push(key);
    // No reason not to look at the fields that are known.
    if (unknown.length > 0)
      complain({
        kind: "validation",
        type: "unknown_fields",
        input: unknown,
        expected: Object.keys(entries).join(", "),
      });
  });
}

/** Refuses any other field. */
/* @__NO_SIDE_EFFECTS__ */
export const strictObject = <const E extends v.ObjectEntries>(entries: E): ObjectOf<E> =>
  fields(entries, false);

/** Leaves out any other field. */
/* @__NO_SIDE_EFFECTS__ */
export const object = <const E extends v.ObjectEntries>(entries: E): ObjectOf<E> => fields(entries, true);

/** Any names that `name` takes. `__proto__` is left out: it would not become a field. */
/* @__NO_SIDE_EFFECTS__ */
export function record<In, Out>(
  name: v.GenericSchema<string, string>,
  value: v.GenericSchema<In, Out>,
): v.GenericSchema<Record<string, In>, Record<string, Out>> {
  return make({}, (dataset, complain, config) => {
    const input = dataset.value;
    if (!isPlain(input)) return complain({ type: "record", expected: "record" });
    const output: Record<string, unknown> = {};
    Object.assign(dataset, { typed: true, value: output });
    for (const key of Object.keys(input)) {
      if (key === "__proto__") continue;
      const { issues } = name["~run"]({ value: key }, config);
      if (issues !== undefined) complain({ type: "name", expected: "name", input: key, key, issues });
      else output[key] = readPart(dataset, input, key, value["~run"]({ value: input[key] }, config));
    }
  });
}

type Option<K extends string> = v.GenericSchema & {
  readonly entries: Readonly<Record<K, v.LiteralSchema<string, undefined>>>;
};

/** One of several objects: which one, its field `key` says, and everything else that is wrong is said of that one. */
/* @__NO_SIDE_EFFECTS__ */
export function variant<const K extends string, const O extends readonly Option<K>[]>(
  key: K,
  options: O,
): v.GenericSchema<v.InferInput<O[number]>, v.InferOutput<O[number]>> & { readonly options: O } {
  return make({ options }, (dataset, complain, config) => {
    const input = dataset.value;
    if (!isObject(input)) return complain({ type: "object", expected: "object" });
    const chosen = options.find(({ entries }) => entries[key].literal === input[key]);
    if (chosen !== undefined) {
      chosen["~run"](dataset as v.UnknownDataset, config);
      return;
    }
    const expected = options.map(({ entries }) => entries[key].expects).join(", ");
    complain({ type: "variant", expected, input: input[key], key });
  });
}

/** Finite, as in JSON. */
export const number: v.GenericSchema<number> = make({}, (dataset, complain) => {
  if (Number.isFinite(dataset.value)) dataset.typed = true;
  else complain({ type: "number", expected: "number" });
});

/** One that a double holds for certain. */
export const integer: v.GenericSchema<number> = make({}, (dataset, complain) => {
  const { value } = dataset;
  if (typeof value !== "number" || !Number.isFinite(value))
    return complain({ type: "number", expected: "number" });
  if (!Number.isInteger(value)) return complain({ type: "integer", expected: "int" });
  dataset.typed = true;
  if (Number.isSafeInteger(value)) return;
  const expected = value > 0 ? `<=${Number.MAX_SAFE_INTEGER}` : `>=${Number.MIN_SAFE_INTEGER}`;
  complain({ kind: "validation", type: "safe_integer", expected });
});

/** ISO 8601 to the second or finer, a day that exists, "Z" and no other zone. */
export const moment = v.pipe(
  v.string(),
  v.regex(
    /^(?:(?:\d\d[2468][048]|\d\d[13579][26]|\d\d0[48]|[02468][048]00|[13579][26]00)-02-29|\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|02-(?:0[1-9]|1\d|2[0-8])))T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?Z$/,
    "Invalid ISO datetime",
  ),
);

/** What the URL parser skips inside: left in, the text could name another host to whoever reads it than to whoever parses it. */
export const withoutBreaks = (text: string): string => text.replace(/[\t\n\r]/g, "");

/** Any URL, without blanks around it. */
export const url = v.pipe(v.string(), v.trim(), v.url(), v.transform(withoutBreaks));
