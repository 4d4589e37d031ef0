import { setTimeout as pause } from "node:timers/promises";
import {
  type Adoption,
  type AdoptionRequest,
  AppError,
  type AuditEntry,
  accepts,
  adoptionSchema,
  type DecisionRequest,
  type Explanation,
  type SignedReceipt,
  explanationSchema,
  signedReceiptSchema,
  auditEntrySchema,
  type InventoryRequest,
  type Manifest,
  type NewToken,
  type Operation,
  type OperationRequest,
  type ProbeRequest,
  type Rotation,
  type RotationRequest,
  type Route,
  type TrafficView,
  type StorageView,
  type TokenRequest,
  type TokenView,
  fromProblem,
  manifestSchemas,
  newTokenSchema,
  operationSchema,
  type Plan,
  planSchema,
  parseAs,
  problemSchema,
  rotationSchema,
  routeSchema,
  trafficViewSchema,
  storageViewSchema,
  tokenViewSchema,
} from "@baton/protocol";
import { type Inventory, inventorySchema } from "@baton/storage/inventory";
import { Agent } from "undici";
import { type CallResult, type HttpCall, callOnce } from "./http-call.ts";

const answerMs = 30_000;
/** Applying a storage probes it first. */
const applyMs = 120_000;
/** A probe takes seconds, an in-flight bound minutes. */
const probeMs = 240_000;
/** What had begun with the old keys is outwaited, and everything is listed. */
const adoptMs = 900_000;
/** As long as the slowest look at a place or a store. */
const planMs = 60_000;
const livezMs = 2_000;
/** The orchestrator itself gives its database 5 s. */
const readyzMs = 8_000;
/** The longest single poll; the orchestrator allows 30 s. */
const pollMs = 25_000;
const watchPauseMs = 100;
const retryPauseMs = { first: 50, longest: 1_000 } as const;
const collections = {
  cluster: "clusters",
  storage: "storages",
  database: "databases",
  application: "applications",
} as const;

export interface BatonClientOptions {
  /** The orchestrator's: "http://127.0.0.1:7420". */
  readonly url: string;
  /** PEM text of who certified it; undefined: whom Node knows. */
  readonly ca?: string | undefined;
  /** Undefined for `livez` and `readyz` alone. */
  readonly token: string | undefined;
  /** How long a watch goes on without an answer before it gives up, in ms. */
  readonly outageMs?: number | undefined;
}

export interface AuditPage {
  readonly limit?: number | undefined;
  /** Entries older than the one of this id. */
  readonly before?: number | undefined;
}

/**
 * The orchestrator's API. Every method ends by a deadline of its own, or earlier with the reason of `signal`, and throws an `AppError`:
 * the orchestrator's own problem, or one that says why it could not be asked.
 */
export interface BatonClient {
  /** Creates or replaces the record; idempotent. @returns what was stored, defaults filled in. */
  apply(manifest: Manifest, signal?: AbortSignal): Promise<Manifest>;
  /** By name. */
  declared(kind: Manifest["kind"], signal?: AbortSignal): Promise<readonly Manifest[]>;
  /** Not idempotent: after an answer that got lost the error says that it may have been started. */
  startOperation(request: OperationRequest, signal?: AbortSignal): Promise<Operation>;
  /** Begins nothing. */
  plan(request: OperationRequest, signal?: AbortSignal): Promise<Plan>;
  operation(id: string, signal?: AbortSignal): Promise<Operation>;
  /** Newest first. */
  operations(application?: string, signal?: AbortSignal): Promise<readonly Operation[]>;
  /** The record now and after every change that is seen, until it has ended. Outlives an orchestrator that is away for up to `outageMs`. */
  watchOperation(id: string, signal?: AbortSignal): AsyncIterable<Operation>;
  /** Not idempotent: a halt is decided once. */
  decide(id: string, request: DecisionRequest, signal?: AbortSignal): Promise<Operation>;
  explain(id: string, signal?: AbortSignal): Promise<Explanation>;
  /** Oldest first. */
  receipts(id: string, signal?: AbortSignal): Promise<readonly SignedReceipt[]>;
  route(application: string, signal?: AbortSignal): Promise<Route>;
  /** Who is or was told of the route. */
  traffic(application: string, signal?: AbortSignal): Promise<readonly TrafficView[]>;
  /** By name. */
  storages(signal?: AbortSignal): Promise<readonly StorageView[]>;
  storage(name: string, signal?: AbortSignal): Promise<StorageView>;
  /** Idempotent. @returns what was seen, also where the storage turned out unfit. */
  probeStorage(name: string, request: ProbeRequest, signal?: AbortSignal): Promise<StorageView>;
  /** Changes nothing. @returns what was proven of the keys that are in the files now. */
  rotateKeys(name: string, request: RotationRequest, signal?: AbortSignal): Promise<Rotation>;
  /** Everything below the storage's prefix; `save` is a file of the orchestrator's machine. */
  takeInventory(name: string, request: InventoryRequest, signal?: AbortSignal): Promise<Inventory>;
  /** Takes minutes. Idempotent until it has succeeded. */
  adoptLease(name: string, request: AdoptionRequest, signal?: AbortSignal): Promise<Adoption>;
  removeStorage(name: string, signal?: AbortSignal): Promise<void>;
  /** Not idempotent: after an answer that got lost the token cannot be told any more, and the error says so. */
  createToken(request: TokenRequest, signal?: AbortSignal): Promise<NewToken>;
  /** By name. */
  tokens(signal?: AbortSignal): Promise<readonly TokenView[]>;
  revokeToken(name: string, signal?: AbortSignal): Promise<void>;
  /** Newest first. */
  audit(page: AuditPage, signal?: AbortSignal): Promise<readonly AuditEntry[]>;
  /** Whether an orchestrator answers there at all; never throws for one that does not. */
  livez(signal?: AbortSignal): Promise<boolean>;
  /** Whether requests may be sent there now. @throws where nobody answers */
  readyz(signal?: AbortSignal): Promise<boolean>;
}

export function createBatonClient({ url, ca, token, outageMs = 60_000 }: BatonClientOptions): BatonClient {
  const dispatcher = ca === undefined ? undefined : new Agent({ connect: { ca } });
  const call = (
    method: HttpCall["method"],
    path: string,
    options: { body?: unknown; deadlineMs?: number; signal?: AbortSignal | undefined } = {},
  ): Promise<CallResult> =>
    callOnce({ url: new URL(path, url), method, token, dispatcher, deadlineMs: answerMs, ...options });
  const get = async (path: string, signal: AbortSignal | undefined): Promise<unknown> =>
    contentOf(await call("GET", path, { signal }), url);

  const remove = async (path: string, signal: AbortSignal | undefined): Promise<void> => {
    const result = await call("DELETE", path, { signal });
    if (result.kind === "answered" && result.status === 204) return;
    contentOf(result, url); // throws, but for an answer that a removal does not have
    throw new AppError("internal", `cannot read the answer of ${url}: it says nothing of a removal`);
  };

  return {
    async apply(manifest, signal) {
      const path = `/v1/${collections[manifest.kind]}/${encodeURIComponent(manifest.name)}`;
      const result = await call("PUT", path, { body: manifest, deadlineMs: applyMs, signal });
      return parseAnswer(manifestSchemas[manifest.kind], contentOf(result, url));
    },

    async declared(kind, signal) {
      const items = itemsOf(await get(`/v1/${collections[kind]}`, signal));
      return items.map((item) =>
        kind === "storage"
          ? parseAnswer(storageViewSchema, item).manifest
          : parseAnswer(manifestSchemas[kind], item),
      );
    },

    async startOperation(request, signal) {
      const result = await call("POST", "/v1/operations", { body: request, signal });
      if (result.kind === "unreachable" && result.maybeTaken)
        throw new AppError(
          "orchestrator-unreachable",
          `cannot say whether the ${request.kind} of ${request.application} was started: ${result.why}; look with \`baton operation list\``,
          { cause: result.cause },
        );
      return parseAnswer(operationSchema, contentOf(result, url));
    },

    async plan(request, signal) {
      const result = await call("POST", "/v1/plans", { body: request, deadlineMs: planMs, signal });
      return parseAnswer(planSchema, contentOf(result, url));
    },

    async operation(id, signal) {
      return parseAnswer(operationSchema, await get(`/v1/operations/${encodeURIComponent(id)}`, signal));
    },

    async operations(application, signal) {
      const query = application === undefined ? "" : `?application=${encodeURIComponent(application)}`;
      const items = itemsOf(await get(`/v1/operations${query}`, signal));
      return items.map((item) => parseAnswer(operationSchema, item));
    },

    async *watchOperation(id, signal) {
      const path = `/v1/operations/${encodeURIComponent(id)}`;
      let seen: Operation | undefined;
      let outageSince: number | undefined;
      let pauseMs: number = retryPauseMs.first;
      // What was decided about a halted one goes on.
      while (seen === undefined || seen.endedAt === null) {
        const poll = seen === undefined ? "" : `?waitMs=${pollMs}&after=${seen.version}`;
        const result = await call("GET", `${path}${poll}`, { deadlineMs: pollMs + answerMs, signal });
        if (result.kind === "unreachable" || result.status >= 500) {
          outageSince ??= performance.now();
          const over = performance.now() - outageSince + pauseMs > outageMs;
          if (over) return void contentOf(result, url); // throws
          await wait(pauseMs, signal);
          pauseMs = Math.min(pauseMs * 2, retryPauseMs.longest);
          continue;
        }
        outageSince = undefined;
        pauseMs = retryPauseMs.first;
        const operation: Operation = parseAnswer(operationSchema, contentOf(result, url));
        if (operation.version === seen?.version) {
          // The poll itself should have waited; an orchestrator that answers at once is not asked in a busy loop.
          await wait(retryPauseMs.first, signal);
          continue;
        }
        seen = operation;
        yield operation;
        // Faster than anybody reads would only slow down what is watched, and in the middle of its downtime.
        if (operation.state === "open") await wait(watchPauseMs, signal);
      }
    },

    async decide(id, request, signal) {
      const result = await call("POST", `${pathOfOperation(id)}/decisions`, { body: request, signal });
      return parseAnswer(operationSchema, contentOf(result, url));
    },

    explain: async (id, signal) =>
      parseAnswer(explanationSchema, await get(`${pathOfOperation(id)}/explanation`, signal)),

    async receipts(id, signal) {
      const items = itemsOf(await get(`${pathOfOperation(id)}/receipts`, signal));
      return items.map((item) => parseAnswer(signedReceiptSchema, item));
    },

    async route(application, signal) {
      const path = `/v1/applications/${encodeURIComponent(application)}/route`;
      return parseAnswer(routeSchema, await get(path, signal));
    },

    async traffic(application, signal) {
      const items = itemsOf(await get(`/v1/applications/${encodeURIComponent(application)}/traffic`, signal));
      return items.map((item) => parseAnswer(trafficViewSchema, item));
    },

    async storages(signal) {
      const items = itemsOf(await get("/v1/storages", signal));
      return items.map((item) => parseAnswer(storageViewSchema, item));
    },

    async storage(name, signal) {
      return parseAnswer(storageViewSchema, await get(pathOfStorage(name), signal));
    },

    async probeStorage(name, body, signal) {
      const path = `${pathOfStorage(name)}/probe`;
      const result = await call("POST", path, { body, deadlineMs: probeMs, signal });
      return parseAnswer(storageViewSchema, contentOf(result, url));
    },

    async rotateKeys(name, body, signal) {
      const path = `${pathOfStorage(name)}/rotate`;
      const result = await call("POST", path, { body, deadlineMs: probeMs, signal });
      return parseAnswer(rotationSchema, contentOf(result, url));
    },

    async takeInventory(name, body, signal) {
      const path = `${pathOfStorage(name)}/inventory`;
      const result = await call("POST", path, { body, deadlineMs: probeMs, signal });
      return parseAnswer(inventorySchema, contentOf(result, url));
    },

    async adoptLease(name, body, signal) {
      const path = `${pathOfStorage(name)}/adopt`;
      const result = await call("POST", path, { body, deadlineMs: adoptMs, signal });
      return parseAnswer(adoptionSchema, contentOf(result, url));
    },

    removeStorage: (name, signal) => remove(pathOfStorage(name), signal),

    async createToken(request, signal) {
      const result = await call("POST", "/v1/tokens", { body: request, signal });
      if (result.kind === "unreachable" && result.maybeTaken)
        throw new AppError(
          "orchestrator-unreachable",
          `cannot say whether token ${request.name} was created: ${result.why}; see \`baton token list\`, and revoke it there: it cannot be shown any more`,
          { cause: result.cause },
        );
      return parseAnswer(newTokenSchema, contentOf(result, url));
    },

    async tokens(signal) {
      const items = itemsOf(await get("/v1/tokens", signal));
      return items.map((item) => parseAnswer(tokenViewSchema, item));
    },

    revokeToken: (name, signal) => remove(`/v1/tokens/${encodeURIComponent(name)}`, signal),

    async audit(page, signal) {
      const query = new URLSearchParams();
      for (const [name, value] of Object.entries(page))
        if (value !== undefined) query.set(name, String(value));
      const items = itemsOf(await get(`/v1/audit${query.size === 0 ? "" : `?${query.toString()}`}`, signal));
      return items.map((item) => parseAnswer(auditEntrySchema, item));
    },

    async livez(signal) {
      const result = await call("GET", "/livez", { deadlineMs: livezMs, signal });
      return result.kind === "answered" && result.status === 200;
    },

    async readyz(signal) {
      const result = await call("GET", "/readyz", { deadlineMs: readyzMs, signal });
      if (result.kind === "answered" && result.status === 503) return false;
      contentOf(result, url); // throws
      return true;
    },
  };
}

const pathOfOperation = (id: string): string => `/v1/operations/${encodeURIComponent(id)}`;
const pathOfStorage = (name: string): string => `/v1/storages/${encodeURIComponent(name)}`;

function itemsOf(content: unknown): readonly unknown[] {
  const items: unknown =
    typeof content === "object" && content !== null && "items" in content && content.items;
  if (Array.isArray(items)) return items;
  throw new AppError("internal", "cannot read the orchestrator's answer: no items");
}

/** @throws the signal's own reason, where the timer would throw an `AbortError`. */
async function wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await pause(ms, undefined, { signal }).catch(() => signal?.throwIfAborted());
}

function parseAnswer<S extends Parameters<typeof parseAs>[0]>(schema: S, content: unknown) {
  return parseAs(schema, content, "the orchestrator's answer", "internal");
}

/** The JSON of a good answer. @throws AppError the problem that the orchestrator tells of, or why there is no answer. */
function contentOf(result: CallResult, url: string): unknown {
  if (result.kind === "unreachable")
    throw new AppError(
      "orchestrator-unreachable",
      `cannot reach the orchestrator at ${url}: ${result.why}; ${result.remedy ?? "start it with `baton up`"}`,
      { cause: result.cause },
    );
  let content: unknown;
  try {
    content = JSON.parse(result.text);
  } catch (cause) {
    if (result.status === 503)
      throw new AppError(
        "orchestrator-unreachable",
        `cannot use the orchestrator at ${url}: it is still starting; try again`,
      );
    throw new AppError(
      "internal",
      `cannot read the answer of ${url}: ${result.status} without JSON; is it Baton?`,
      {
        cause,
      },
    );
  }
  if (result.status >= 200 && result.status < 300) return content;
  if (accepts(problemSchema, content)) throw fromProblem(content);
  throw new AppError(
    "internal",
    `cannot read the answer of ${url}: ${result.status} without a problem; is it Baton?`,
  );
}
