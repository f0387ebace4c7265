// The official conformance tests of MCP, against our server over HTTP in nginx, in the newest
// revision and the one before. Of their scenarios those run that are about something that the
// server has; what it has not is named, too.
import { spawn } from 'node:child_process'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { hasNginx, startNginx } from './nginx.js'
import { nodeOf } from './node.js'
import { skip, step } from './steps.js'

const program = 'conformance/node_modules/@modelcontextprotocol/conformance/dist/index.js'

const revisions = {
  '2025-11-25': ['server-initialize', 'ping', 'tools-list', 'tools-call-simple-text', 'tools-call-image',
    'tools-call-error', 'tools-call-with-progress', 'json-schema-2020-12', 'resources-list', 'dns-rebinding-protection'],
  '2026-07-28': ['server-stateless', 'tools-list', 'tools-call-simple-text', 'tools-call-image', 'tools-call-error',
    'tools-call-with-progress', 'json-schema-2020-12', 'server-sse-multiple-streams', 'resources-list',
    'sep-2164-resource-not-found', 'dns-rebinding-protection', 'caching', 'http-header-validation',
    'http-custom-header-server-validation', 'input-required-result-request-state',
    'input-required-result-missing-input-response', 'input-required-result-result-type',
    'input-required-result-unsupported-methods', 'input-required-result-tampered-state',
    'input-required-result-validate-input'],
  tasks: ['tasks-lifecycle', 'tasks-capability-negotiation', 'tasks-wire-fields', 'tasks-request-state-removal',
    'tasks-request-headers', 'tasks-dispatch-and-envelope'],
}

// What scenarios of other things (prompts, sampling, ...) look for in those that run.
const without = new Set(['sep-2549-prompts-list-caching-hints', 'sep-2575-server-rejects-undeclared-capability',
  'sep-2575-missing-capability-http-400', 'sep-2575-http-server-no-independent-requests-on-stream',
  'sep-2575-server-no-log-without-loglevel'])

const lacking = 'prompts, completion, logging, subscriptions, audio, embedded resources, sampling, roots, ' +
  'elicitation from within a tool, resources of addresses of our choice'

function checksIn(folder) {
  return readdirSync(folder, { recursive: true }).filter((name) => name.endsWith('checks.json'))
    .flatMap((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')))
}

async function scenario(node, url, revision, name, folder) {
  const version = revision === 'tasks' ? [] : ['--spec-version', revision]
  const run = spawn(node, [program, 'server', '--url', url, '--scenario', name, ...version, '-o', folder],
    { stdio: ['ignore', 'ignore', 'inherit'] })
  await new Promise((done) => run.on('exit', done))
  const checks = checksIn(folder)
  const failed = checks.filter((one) => one.status === 'FAILURE' && !without.has(one.id))
  if (failed.length) throw new Error(failed.map((one) => `${one.id}: ${one.errorMessage}`).join('\n'))
  if (!checks.some((one) => one.status === 'SUCCESS')) throw new Error('nothing was checked')
}

export default async function conformance(scratch, client) {
  const node = nodeOf(22)
  if (!node || !existsSync(program)) return skip('mcp conformance', 'the package, or a Node of 22 or later, is not here')
  if (!hasNginx()) return skip('mcp conformance', 'nginx with its Lua module, or `make LUA=luajit`, is not here')
  const sandbox = await client.create()
  const server = await startNginx({ SANDBOX: sandbox.id })
  for (const [revision, names] of Object.entries(revisions)) {
    for (const name of names) {
      await step(`mcp conformance ${revision}: ${name}`, () =>
        scenario(node, `http://127.0.0.1:${server.port}/mcp`, revision, name, join(scratch, 'conformance', revision, name)))
    }
  }
  skip('mcp conformance of what the server has not', lacking)
  await step('mcp conformance: nginx had nothing to complain about', async () => {
    const complaints = await server.stop()
    if (complaints) throw new Error(complaints)
  })
  await sandbox.delete()
}
