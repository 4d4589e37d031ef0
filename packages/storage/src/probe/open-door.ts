import type { AccessKey } from "@baton/protocol";
import type { BucketPort } from "../bucket.port.ts";
import type { ObjectStore } from "../object-store.port.ts";
import { openBucket } from "../s3-bucket.ts";
import { type IfMatchForm, openObjectStore } from "../s3-object-store.ts";
import type { S3Location } from "../s3-request.ts";
import type { ProbeDoor } from "./probe-door.ts";

/** An endpoint with both keys, for the probe; `close` ends all its connections. */
export function openProbeDoor(
  params: S3Location & { readonly control: AccessKey; readonly data: AccessKey },
): ProbeDoor & { close(): void } {
  const { control, data, ...location } = params;
  const opened: { close(): void }[] = [];
  let seen: ReturnType<ProbeDoor["seen"]> = null;
  const keep = <T extends { close(): void }>(one: T): T => {
    opened.push(one);
    return one;
  };
  /** One for each form, opened when it is asked for. */
  const forms = <T>(open: (form: IfMatchForm) => T): ((form: IfMatchForm) => T) => {
    const kept = new Map<IfMatchForm, T>();
    return (form) => {
      const found = kept.get(form) ?? open(form);
      kept.set(form, found);
      return found;
    };
  };
  return {
    endpoint: location.endpoint,
    control: forms((ifMatch): ObjectStore =>
      keep(
        openObjectStore({
          ...location,
          accessKey: control,
          ifMatch,
          onAnswer: ({ server = null, date = "" }) => {
            // The header counts whole seconds: half of one is added, so that it is wrong by no more than that.
            const at = Date.parse(date) + 500;
            seen = { server, clockSkewMs: Number.isNaN(at) ? null : at - Date.now() };
          },
        }),
      ),
    ),
    data: keep(openObjectStore({ ...location, accessKey: data })),
    bucket: forms((ifMatch): BucketPort => keep(openBucket({ ...location, accessKey: control, ifMatch }))),
    seen: () => seen,
    close: () => {
      for (const each of opened) each.close();
    },
  };
}
