import { readFile } from "node:fs/promises";
import {
  AppError,
  type ContainerManifest,
  type SecretReference,
  object,
  parseAs,
  strictObject,
} from "@baton/protocol";
import * as v from "valibot";
import { reasonOf } from "../deadline.ts";
import type { Place } from "./containers.ts";

export interface Registry {
  /** `registry.example:5000`. */
  readonly server: string;
  /** A file of { username, password }. */
  readonly credentials: SecretReference;
}

const loginSchema = strictObject({ username: v.string(), password: v.string() });

/** In numbers, as the container is run. */
export interface ContainerUser {
  readonly uid: number;
  readonly gid: number;
}

const imageSchema = object({ Config: object({ User: v.optional(v.string(), "") }) });

/** Of the image: its own user, as it names it; null when the image is not there. */
export async function findImage(
  { engine, name }: Place,
  image: string,
  signal: AbortSignal,
): Promise<{ readonly user: string } | null> {
  const path = `/images/${image.split("/").map(encodeURIComponent).join("/")}/json`;
  const what = `look for image ${image} on ${name}`;
  const answer = await engine.call({ method: "GET", path, what, signal, expect: [404] });
  if (answer.status === 404) return null;
  return { user: parseAs(imageSchema, answer.json(), what, "cluster-unavailable").Config.User };
}

/** Whom the container is run as. @throws AppError `invalid-request` for a user whose number nobody said */
export function userOf({ image, user }: ContainerManifest, imageUser: string): ContainerUser {
  const [, uid, gid = uid] = /^(\d+)(?::(\d+))?$/.exec(user ?? (imageUser === "" ? "0" : imageUser)) ?? [];
  if (uid !== undefined) return { uid: Number(uid), gid: Number(gid) };
  throw new AppError(
    "invalid-request",
    `cannot use image ${image}: its user is "${imageUser}", and the agent's files need a number; say "user" in the application's container`,
  );
}

/** Pulls the image unless it is there. @throws AppError `cluster-unavailable` with what the engine said, never with a password */
export async function ensureImage(
  place: Place,
  { image, pull }: ContainerManifest,
  registries: readonly Registry[],
  signal: AbortSignal,
): Promise<void> {
  if ((await findImage(place, image, signal)) !== null) return;
  const what = `pull image ${image} on ${place.name}`;
  if (pull === "never")
    throw new AppError(
      "cluster-unavailable",
      `cannot use image ${image} on ${place.name}: it is not there, and "pull" is never; load it`,
    );
  const registry = registries.find(({ server }) => server === serverOf(image));
  const headers = registry && { "x-registry-auth": await credentialsFor(registry) };
  // Without a tag Docker pulls all of them.
  const isExact = image.includes("@") || image.slice(image.lastIndexOf("/")).includes(":");
  const query = { fromImage: isExact ? image : `${image}:latest` };
  const answer = await place.engine.call({
    method: "POST",
    path: "/images/create",
    query,
    headers,
    what,
    signal,
  });
  const reason = errorIn(answer.bytes.toString());
  if (reason !== null)
    throw new AppError("cluster-unavailable", `cannot ${what}: ${reason}; correct "image", or "registries"`);
}

/** The part before the first "/", when it names a server. */
export function serverOf(image: string): string {
  const [first = "", ...rest] = image.split("/");
  return rest.length > 0 && (/[.:]/.test(first) || first === "localhost") ? first : "docker.io";
}

async function credentialsFor({ server, credentials: { file } }: Registry): Promise<string> {
  let content: unknown;
  try {
    content = JSON.parse(await readFile(file, "utf8"));
  } catch (error) {
    const why = error instanceof SyntaxError ? "it is not JSON" : reasonOf(error);
    throw new AppError("secret-unavailable", `cannot read ${file}: ${why}`);
  }
  const login = parseAs(loginSchema, content, `the secret ${file}`, "secret-unavailable");
  return Buffer.from(JSON.stringify({ ...login, serveraddress: server })).toString("base64url");
}

/** Progress comes with status 200, whatever becomes of it: the last line that tells of an error does. */
function errorIn(progress: string): string | null {
  for (const line of progress.trim().split("\n").toReversed()) {
    try {
      const { error } = JSON.parse(line) as { error?: unknown };
      if (typeof error === "string" && error !== "") return error.split("\n")[0] ?? error;
    } catch {
      // Not a line of progress.
    }
  }
  return null;
}
