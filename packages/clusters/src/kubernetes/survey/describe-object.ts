import type { KubeObject } from "../kube-object.ts";

interface Named {
  readonly kind: string;
  /** None for what belongs to none. */
  readonly namespace?: string | null | undefined;
  readonly name: string;
}

/** "Deployment shop/ledger" */
export const describeName = ({ kind, namespace, name }: Named): string =>
  `${kind} ${namespace === null || namespace === undefined ? "" : `${namespace}/`}${name}`;

export const describeObject = ({ kind, metadata: { namespace, name } }: KubeObject): string =>
  describeName({ kind, namespace, name });

/** The API group of "apps/v1"; of "v1", which is the core's, "". */
export const groupOf = (apiVersion: string): string =>
  apiVersion.includes("/") ? apiVersion.slice(0, apiVersion.indexOf("/")) : "";
