import { createHash } from "node:crypto";
import { AppError, type ErrorCode } from "@baton/protocol";
import type { ObjectStore, PutCondition, PutResult, StoredObject } from "./object-store.port.ts";

type Method = "get" | "put" | "remove";

/**
 * What goes wrong with one request. `unclear`: the answer is lost (`storage-unclear`), and a write was taken (`applied`), was not
 * (`dropped`), or is still under way until {@link MemoryBucket.deliverLate} (`late`). `refused`: a 409 though the condition
 * holds. `error`: fails at once with that code and does nothing.
 */
export type MemoryFault =
  | {
      readonly kind: "unclear";
      readonly write: "applied" | "dropped" | "late";
      readonly on?: Method | undefined;
    }
  | { readonly kind: "refused" }
  | { readonly kind: "error"; readonly code: ErrorCode; readonly on?: Method | undefined };

export interface MemoryRequest {
  readonly method: Method;
  readonly key: string;
}

/** A bucket in memory, for tests and simulations: the same calls give the same state and the same ETags (MD5, as S3's). */
export interface MemoryBucket {
  /** The bucket seen with a key that may write below `writable` (everything, if not given) and read everything. */
  open(params?: { readonly writable?: readonly string[] | undefined }): ObjectStore;
  /** Each fault hits the next request it fits (by default a `put`), in the order given. */
  inject(...faults: readonly MemoryFault[]): void;
  /** Lets the writes that are still under way arrive, oldest first; their conditions are judged now. */
  deliverLate(): void;
  readonly objects: ReadonlyMap<string, StoredObject>;
  /** Every accepted write and removal, in commit order. */
  readonly commits: readonly {
    readonly method: "put" | "remove";
    readonly key: string;
    readonly body: string;
  }[];
}

/**
 * @param params.ignoreConditions takes every write, as some stores do.
 * @param params.beforeRequest is awaited before every request is judged: a place for other writers, pauses and counts.
 */
export function createMemoryBucket(
  params: {
    readonly ignoreConditions?: boolean | undefined;
    readonly beforeRequest?: ((request: MemoryRequest) => Promise<void> | void) | undefined;
  } = {},
): MemoryBucket {
  const objects = new Map<string, StoredObject>();
  const commits: { method: "put" | "remove"; key: string; body: string }[] = [];
  const faults: MemoryFault[] = [];
  const late: (() => void)[] = [];

  const holds = (key: string, condition: PutCondition | undefined): boolean => {
    if (condition === undefined || params.ignoreConditions === true) return true;
    const etag = objects.get(key)?.etag;
    return condition.kind === "absent" ? etag === undefined : etag === condition.etag;
  };
  const takeFault = (method: Method): MemoryFault | undefined => {
    const at = faults.findIndex(
      (fault) => (fault.kind === "refused" ? "put" : (fault.on ?? "put")) === method,
    );
    return at === -1 ? undefined : faults.splice(at, 1)[0];
  };

  /** Runs `effect` as the next fault of this method says. */
  const serve = async <T>(
    request: MemoryRequest,
    mayDo: boolean,
    effect: () => T,
    refuse: () => T = effect,
  ): Promise<T> => {
    const { method, key } = request;
    await params.beforeRequest?.(request);
    if (!mayDo) throw memoryError("storage-credentials", request);
    const fault = takeFault(method);
    if (fault === undefined) return effect();
    if (fault.kind === "refused") return refuse();
    if (fault.kind === "error") throw memoryError(fault.code, request);
    if (fault.write === "applied") effect();
    if (fault.write === "late") late.push(effect);
    throw memoryError("storage-unclear", { method, key });
  };

  const put = (key: string, bytes: Uint8Array, condition: PutCondition | undefined): PutResult => {
    if (!holds(key, condition)) return { kind: "refused" };
    const etag = `"${createHash("md5").update(bytes).digest("hex")}"`;
    objects.set(key, { body: bytes, etag });
    commits.push({ method: "put", key, body: Buffer.from(bytes).toString("utf8") });
    return { kind: "stored", etag };
  };

  return {
    objects,
    commits,
    inject: (...more) => void faults.push(...more),
    deliverLate: () => {
      for (const effect of late.splice(0)) effect();
    },
    open: ({ writable = [""] } = {}) => {
      const mayWrite = (key: string): boolean => writable.some((prefix) => key.startsWith(prefix));
      return {
        get: ({ key }) => serve({ method: "get", key }, true, () => objects.get(key) ?? null),
        put: ({ key, body, condition }) => {
          const bytes = Uint8Array.from(Buffer.from(body));
          const refused: PutResult = { kind: "refused" };
          return serve<PutResult>(
            { method: "put", key },
            mayWrite(key),
            () => put(key, bytes, condition),
            () => refused,
          );
        },
        remove: ({ key }) =>
          serve({ method: "remove", key }, mayWrite(key), () => {
            if (objects.delete(key)) commits.push({ method: "remove", key, body: "" });
          }),
      };
    },
  };
}

const memoryError = (code: ErrorCode, { method, key }: MemoryRequest): AppError =>
  new AppError(code, `cannot ${method} "${key}" in the bucket in memory: planted fault; nothing to do`);
