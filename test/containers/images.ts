import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { buildAgent } from "./agent-bundle.ts";
import type { Podman } from "./podman.ts";

/** Images of earlier agents, of 260 MB each: older than this they go, and are built anew in seconds if they are the same. */
const keepHours = 2;
const label = "baton.test-image";
const docker = join(import.meta.dirname, "../../docker/agent");

export interface Images {
  /** docker/agent: no shell, nothing but the agent. */
  readonly agent: string;
  /** Debian with Node, and the agent added by the recipe of docker/agent/README.md. */
  readonly withNode: string;
  /** The same without a Node of its own. */
  readonly withoutNode: string;
  /** Debian with neither. */
  readonly bare: string;
}

/** Builds the agent and the images with it; what did not change since an earlier run on this machine is there already. */
export async function buildImages(params: {
  readonly podman: Podman;
  readonly nodeImage: string;
  readonly debianImage: string;
  /** For the files it writes. */
  readonly directory: string;
}): Promise<Images> {
  const { podman, nodeImage, debianImage, directory } = params;
  const bundle = await buildAgent();
  const old = ["--filter", `label=${label}`, "--filter", `until=${keepHours}h`];
  await podman.read(["image", "prune", "--all", "--force", ...old]);
  const [content, dockerfile, recipe] = await Promise.all([
    readFile(bundle),
    readFile(join(docker, "Dockerfile"), "utf8"),
    readRecipe(),
  ]);
  const build = async (name: string, text: string, parts: readonly (string | Buffer)[]): Promise<string> => {
    const hash = createHash("sha256").update(text);
    for (const part of parts) hash.update(part);
    const image = `localhost/baton-test/${name}:${hash.digest("hex").slice(0, 12)}`;
    if ((await podman.execute(["image", "exists", image])).status === 0) return image;
    const file = join(directory, `${name}.Dockerfile`);
    await writeFile(file, text);
    const args = ["build", "--quiet", "--pull=never", "--build-arg", `BASE=${nodeImage}`];
    await podman.read([...args, "--label", label, "--tag", image, "--file", file, dirname(bundle)], {
      timeoutMs: 180_000,
    });
    return image;
  };
  const agent = await build("agent", dockerfile, [content, nodeImage]);
  const addTo = (base: string): string => `FROM ${base}\n${recipe.replaceAll("baton-agent:1", agent)}`;
  return {
    agent,
    withNode: await build("with-node", addTo(nodeImage), []),
    withoutNode: await build("without-node", addTo(debianImage), []),
    bare: debianImage,
  };
}

/** What README.md tells people to add to their Dockerfile. */
async function readRecipe(): Promise<string> {
  const readme = await readFile(join(docker, "README.md"), "utf8");
  const recipe = /^```Dockerfile\n(COPY --from=baton-agent:1 .*?)^```$/ms.exec(readme)?.[1];
  if (recipe === undefined) throw new Error("docker/agent/README.md has no recipe");
  return recipe;
}
