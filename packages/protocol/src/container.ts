import * as v from "valibot";
import { integer, number, strictObject } from "./schema.ts";

/** Where the agent listens in a container. */
export const agentPortInContainer = 7_310;

const positive = v.pipe(integer, v.minValue(1));

/** An image by tag or digest. */
const imageSchema = v.pipe(
  v.string(),
  v.maxLength(512),
  v.regex(
    /^[a-z0-9][A-Za-z0-9._:-]*(\/[a-z0-9][a-z0-9._-]*)*(:[A-Za-z0-9_][A-Za-z0-9._-]*)?(@sha256:[0-9a-f]{64})?$/,
    'must be an image as "registry/name:tag" or "registry/name@sha256:…"',
  ),
);

/** How the application is put into a container, on clusters that run containers. */
export const containerSchema = strictObject({
  image: imageSchema,
  /** `never`: it must be on the cluster already. */
  pull: v.optional(v.picklist(["missing", "never"]), "missing"),
  /** How the agent in the image is called; without it the cluster's agent is put in, which the image's `node` runs. */
  agent: v.optional(v.pipe(v.array(v.pipe(v.string(), v.minLength(1))), v.minLength(1))),
  /** In numbers, since the agent's files are given to this user before the container runs. */
  user: v.optional(
    v.pipe(v.string(), v.regex(/^\d{1,9}(:\d{1,9})?$/, 'must be numbers: "1000" or "1000:1000"')),
  ),
  /** Where the application listens in there; it is told so by `PORT`. */
  port: v.optional(
    v.pipe(
      positive,
      v.maxValue(65_535),
      v.check((port) => port !== agentPortInContainer, `must not be ${agentPortInContainer}, the agent's`),
    ),
    8_080,
  ),
  /** A network of the engine, its default one if none is named. */
  network: v.optional(
    v.pipe(
      v.string(),
      v.regex(/^(?!(?:host|none)$)[A-Za-z0-9][\w.-]{0,127}$/, "must be a network of the engine's own"),
    ),
  ),
  /** Together with the agent, which needs some 100 MB. */
  memoryBytes: v.optional(v.pipe(integer, v.minValue(33_554_432))),
  cpus: v.optional(v.pipe(number, v.minValue(0.01), v.maxValue(1_024))),
  processes: v.optional(positive),
});
export type ContainerManifest = v.InferOutput<typeof containerSchema>;
