// Renders skeletons as Backstage's scaffolder does, for tests: one JSON request a line on stdin,
// one JSON answer a line on stdout. The walk over the files follows the action `fetch:template`
// (plugin-scaffolder-backend 4, `createTemplateActionHandler`): names are rendered always, texts
// unless they are asked to be copied or are binary, and what gets an empty name is skipped.
//
// Request: {engine, folder, copyWithoutTemplating, values}; answer: {files: {path: base64}} or
// {error}. Engines: `nunjitsu` (now) and `nunjucks` (before), with the scaffolder's own options.
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { createRequire } from 'node:module';
import globby from 'globby';
import { isBinaryFile } from 'isbinaryfile';
import nunjucks from 'nunjucks';

const require = createRequire(import.meta.url);
const { createTemplateRenderer } = require('nunjitsu');

function rendererOf(engine, values) {
  const context = { values };
  if (engine === 'nunjitsu') {
    const renderer = createTemplateRenderer({ allowRegexExecution: true });
    const prepared = renderer.prepareContext(context);
    return text => renderer.render(text, prepared);
  }
  const environment = new nunjucks.Environment(null, {
    autoescape: false,
    trimBlocks: false,
    lstripBlocks: false,
    tags: { variableStart: '${{', variableEnd: '}}' },
  });
  return text => environment.renderString(text, context);
}

async function render({ engine, folder, copyWithoutTemplating, values }) {
  const options = {
    cwd: folder,
    dot: true,
    onlyFiles: false,
    markDirectories: true,
    followSymbolicLinks: false,
  };
  const entries = await globby('**/*', options);
  const copied = new Set(await globby(copyWithoutTemplating ?? [], options));
  const write = rendererOf(engine, values);
  const files = {};
  for (const entry of entries) {
    const path = write(entry);
    if (path === '' || path.startsWith('/') || path.includes('//')) continue;
    if (entry.endsWith('/')) continue;
    const from = `${folder}/${entry}`;
    const content = await readFile(from);
    const keep = copied.has(entry) || (await isBinaryFile(from));
    if (path in files) continue;
    files[path] = (keep ? content : Buffer.from(write(content.toString('utf-8')))).toString('base64');
  }
  return { files };
}

for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    answer = await render(JSON.parse(line));
  } catch (error) {
    answer = { error: String(error.message ?? error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
