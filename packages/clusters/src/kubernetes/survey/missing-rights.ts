import type { KubeClient, KubeKind } from "../kube-client.ts";
import { type Sight, sight } from "./sight.ts";

/** What may be done with objects of a kind. */
export interface Right extends KubeKind {
  /** "log": of the objects' parts. */
  readonly part?: string;
  readonly verbs: readonly string[];
}

/** Of these rights in the namespace, those that the server refuses; and what it gave no answer about. */
export async function findMissingRights(
  rights: readonly Right[],
  params: {
    readonly client: Pick<KubeClient, "allows">;
    readonly namespace: string;
    readonly signal: AbortSignal;
  },
): Promise<{ readonly missing: readonly string[]; readonly unseen: readonly string[] }> {
  const { client, namespace, signal } = params;
  const asked = rights.flatMap(({ verbs, ...kind }) => verbs.map((verb) => ({ ...kind, verb })));
  const answers = await Promise.all(
    asked.map(async (one) => ({ one, answer: await sight(client.allows({ ...one, namespace, signal })) })),
  );
  const words = ({ kind, part, verb }: (typeof asked)[number]): string =>
    `${verb} ${kind}${part === undefined ? "" : `'s ${part}`} in namespace ${namespace}`;
  return {
    missing: answers.flatMap(({ one, answer }) => (isRefused(answer) ? [words(one)] : [])),
    unseen: [...new Set(answers.flatMap(({ answer }) => ("why" in answer ? [answer.why] : [])))],
  };
}

const isRefused = (answer: Sight<boolean>): boolean => "value" in answer && !answer.value;
