// Validates objects of the Prometheus operator, given as JSON on standard input, by its models.
import { readFileSync } from "node:fs";

for (const object of JSON.parse(readFileSync(0, "utf8"))) {
  const path = `@kubernetes-models/prometheus-operator/${object.apiVersion}/${object.kind}`;
  const models = await import(path);
  new models[object.kind](object).validate();
}
