import { kubernetesSchema, parseAs } from "@baton/protocol";
import { ledgerImage } from "../containers/ledger-image.ts";

const port = 8_080;

const deployment = {
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "ledger" },
  spec: {
    replicas: 1,
    selector: { matchLabels: { app: "ledger" } },
    template: {
      metadata: { labels: { app: "ledger" } },
      spec: {
        containers: [
          {
            name: "ledger",
            image: ledgerImage,
            imagePullPolicy: "Never",
            ports: [{ containerPort: port, hostPort: port }],
            envFrom: [{ configMapRef: { name: "ledger" } }],
          },
        ],
      },
    },
  },
};
const settings = {
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name: "ledger" },
  data: { LISTEN_HOST: "0.0.0.0" },
};

/** The ledger as its owners would describe it, at a port of its node: the beds' Services have no address. */
export const ledgerObjects = parseAs(kubernetesSchema, { objects: [settings, deployment] }, "the objects");
