// Validates what Backstage would read, for tests: one JSON entity a line on stdin, one answer a
// line on stdout: {problem} with why it is refused, or null. Templates go against the scaffolder's
// own schema, everything else through the catalogue's validators and policies.
import { createInterface } from 'node:readline';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const model = require('@backstage/catalog-model');
const { templateEntityV1beta3Validator } = require('@backstage/plugin-scaffolder-common');

const validators = [
  model.componentEntityV1alpha1Validator,
  model.apiEntityV1alpha1Validator,
  model.systemEntityV1alpha1Validator,
  model.domainEntityV1alpha1Validator,
  model.resourceEntityV1alpha1Validator,
  model.groupEntityV1alpha1Validator,
  model.userEntityV1alpha1Validator,
  model.locationEntityV1alpha1Validator,
  templateEntityV1beta3Validator,
];
const policy = model.EntityPolicies.allOf([
  new model.SchemaValidEntityPolicy(),
  new model.DefaultNamespaceEntityPolicy(),
  new model.NoForeignRootFieldsEntityPolicy(),
  new model.FieldFormatEntityPolicy(),
]);

async function problemOf(entity) {
  const checked = await policy.enforce(entity);
  for (const validator of validators) {
    if (await validator.check(checked)) return null;
  }
  return `no kind of Backstage is called ${entity.apiVersion} ${entity.kind}`;
}

for await (const line of createInterface({ input: process.stdin })) {
  let problem;
  try {
    problem = await problemOf(JSON.parse(line));
  } catch (error) {
    problem = String(error.message ?? error);
  }
  process.stdout.write(`${JSON.stringify({ problem })}\n`);
}
