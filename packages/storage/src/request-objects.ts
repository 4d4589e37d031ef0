import { newNonce, parseAs, placementIdSchema, strictObject, variant } from "@baton/protocol";
import * as v from "valibot";
import type { Clock } from "./clock.ts";
import { untilDefinite } from "./definite.ts";
import type { ObjectStore } from "./object-store.port.ts";
import { assertPrefix, controlPrefix } from "./prefix.ts";

/** So many writes later a write that was taken is still known to have been. */
const remembered = 16;
/** Bytes. A command token has at most 16384 characters. */
const longestRequest = 65_536;

const nonceSchema = v.pipe(v.string(), v.minLength(16));
const shared = {
  version: v.literal(1),
  /** Of this very write. */
  nonce: nonceSchema,
  /** Of the writes before it, the newest first. */
  history: v.array(nonceSchema),
};
const answer = { ...shared, instance: v.pipe(v.string(), v.minLength(1)) };

/**
 * What is asked of one placement's agent, and its answer, in one object. `token` is the very command token of the agent's HTTP API, and
 * `kind` its command. `accepted`: the agent acts, or has acted; `status` and `problem` are what it would have said over HTTP, read by who asked.
 */
const requestSchema = variant("state", [
  strictObject({
    ...shared,
    state: v.literal("asked"),
    kind: v.picklist(["stop", "withdraw", "open", "read"]),
    token: v.string(),
  }),
  strictObject({ ...answer, state: v.literal("accepted"), status: v.unknown() }),
  strictObject({ ...answer, state: v.literal("refused"), problem: v.unknown() }),
]);
type ChannelRequest = v.InferOutput<typeof requestSchema>;

/** What the object says, without what makes each write another one. */
export type RequestContent = ChannelRequest extends infer R
  ? R extends ChannelRequest
    ? Omit<R, keyof typeof shared>
    : never
  : never;

/** What is there; `request` is null when it is none of ours. */
export interface RequestView {
  readonly request: ChannelRequest | null;
  readonly etag: string;
}

/** One conditional write, to be recorded before it is sent (rule 7). Plain JSON. */
export interface RequestWrite {
  /** Null: there must be nothing yet. */
  readonly expectedEtag: string | null;
  readonly nonce: string;
  readonly body: string;
}

export type RequestWriteResult =
  /** The write was taken; `etag` is null when later writes came after it. */
  | { readonly kind: "applied"; readonly etag: string | null }
  /** The write was not taken and never will be; or more than sixteen came after it, and whoever asked has long been answered otherwise. */
  | { readonly kind: "superseded"; readonly current: RequestView | null };

/** Where one placement is asked; its agent has the key for it, and reads nothing else. */
interface Mailbox {
  readonly store: ObjectStore;
  readonly prefix: string;
  readonly placement: string;
}

/**
 * "ledger/", "pl-1" → ".baton/leases/ledger/requests/pl-1.json": beside the lease, where no application's key may write.
 *
 * @throws AppError `invalid-request` for a prefix or a placement that is none.
 */
export function requestKey(prefix: string, placement: string): string {
  assertPrefix(prefix);
  return `${controlPrefix}leases/${prefix}requests/${parseAs(placementIdSchema, placement, "the placement")}.json`;
}

/** What is asked of the placement or was answered last; null when nothing ever was. @throws everything that `ObjectStore.get` throws. */
export async function readRequest(
  params: Mailbox & { readonly timeoutMs: number },
): Promise<RequestView | null> {
  const key = requestKey(params.prefix, params.placement);
  const object = await params.store.get({ key, timeoutMs: params.timeoutMs });
  return object === null ? null : { request: parseRequest(object.body), etag: object.etag };
}

/** The write that says `content` in the place of what was seen, if that is still there then. */
export function planRequest(seen: RequestView | null, content: RequestContent): RequestWrite {
  const before = seen?.request ?? null;
  const history = before === null ? [] : [before.nonce, ...before.history].slice(0, remembered);
  const nonce = newNonce();
  const body = JSON.stringify({ version: 1, nonce, history, ...content });
  return { expectedEtag: seen === null ? null : seen.etag, nonce, body };
}

/**
 * Sends a planned write until it is certain whether it was taken. May be called again with the same write at any later time: the same bytes on
 * the same ETag have their effect at most once. After an unclear answer it never looks and decides, for the lost write may still arrive: only a
 * refusal, which proves that the expected ETag is gone for good, lets it look whose write took its place.
 *
 * Both sides rest on this: of an agent's acceptance and the request's withdrawal, which are writes on one ETag, only one is ever taken.
 *
 * @throws AppError `storage-unclear` when the deadline passes; what `ObjectStore` throws at once for a missing bucket or wrong keys. No error says
 * that the write was not taken.
 */
export async function applyRequestWrite(
  params: Mailbox & {
    readonly write: RequestWrite;
    readonly deadlineMs: number;
    readonly clock?: Clock | undefined;
  },
): Promise<RequestWriteResult> {
  const { store, write } = params;
  const { body, nonce, expectedEtag } = write;
  const key = requestKey(params.prefix, params.placement);
  const condition =
    expectedEtag === null ? ({ kind: "absent" } as const) : ({ kind: "match", etag: expectedEtag } as const);
  return untilDefinite(params, `write the request ${key}`, async (timeoutMs) => {
    const put = await store.put({ key, body, condition, timeoutMs: timeoutMs() });
    if (put.kind === "stored") return { kind: "applied", etag: put.etag };
    const current = await readRequest({ ...params, timeoutMs: timeoutMs() });
    // A 409 only says that another write was under way; if that one failed, what was expected still stands.
    if ((current?.etag ?? null) === expectedEtag) return "again";
    if (current?.request?.nonce === nonce) return { kind: "applied", etag: current.etag };
    if (current?.request?.history.includes(nonce)) return { kind: "applied", etag: null };
    return { kind: "superseded", current };
  });
}

function parseRequest(body: Uint8Array): ChannelRequest | null {
  if (body.byteLength > longestRequest) return null;
  try {
    const content: unknown = JSON.parse(Buffer.from(body).toString("utf8"));
    return parseAs(requestSchema, content, "the request");
  } catch {
    return null;
  }
}
