// The MCP inspector on the command line, with bin/daytona-mcp and with the server in nginx.
import { deepStrictEqual as equal } from 'node:assert'
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { nodeOf } from './node.js'
import { skip, step } from './steps.js'

const program = 'conformance/node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js'
const stdio = ['../bin/daytona-mcp', '--tools', 'operations']

// What it prints of one request, as JSON.
async function ask(node, scratch, method, more = [], env = {}) {
  const given = Object.entries({ DAYTONA_API_URL: process.env.DAYTONA_API_URL,
    DAYTONA_API_KEY: process.env.DAYTONA_API_KEY, ...env }).flatMap(([name, value]) => ['-e', `${name}=${value}`])
  const run = spawn(node, [program, '--cli', ...given, ...stdio, '--method', method, ...more],
    { env: { ...process.env, HOME: scratch }, stdio: ['ignore', 'pipe', 'pipe'] })
  const said = { stdout: '', stderr: '' }
  for (const name of Object.keys(said)) run[name].on('data', (text) => { said[name] += text })
  const status = await new Promise((done) => run.on('close', done))
  if (status !== 0 && !said.stdout) throw new Error(said.stderr || `status ${status}`)
  return JSON.parse(said.stdout)
}

export default async function inspector(scratch, client) {
  const node = nodeOf(22)
  if (!node || !existsSync(program)) return skip('mcp inspector', 'the package, or a Node of 22 or later, is not here')
  const sandbox = await client.create()
  const call = (name, args) => ask(node, scratch, 'tools/call',
    ['--tool-name', name, ...Object.entries(args).flatMap(([key, value]) => ['--tool-arg', `${key}=${value}`])])
  await step('mcp inspector: tools/list, without a schema that it finds fault with', async () => {
    const { tools } = await ask(node, scratch, 'tools/list', ['--strict'])
    equal(tools.length, 12, 'tools')
  })
  let link
  await step('mcp inspector: tools/call', async () => {
    const ran = await call('daytona_execute_command', { sandboxId: sandbox.id, command: 'seq 1 20000; exit 3' })
    equal(ran.structuredContent.exitCode, 3, 'exit code')
    link = ran.content.find((one) => one.type === 'resource_link').uri
    const wrong = await call('daytona_execute_command', { sandboxId: sandbox.id, command: 'true', timeout: 0 })
    equal(wrong.isError, true, 'error')
  })
  await step('mcp inspector: resources', async () => {
    const { contents } = await ask(node, scratch, 'resources/read', ['--uri', link])
    equal(contents[0].text.split('\n').length, 20001, 'lines')
    equal((await ask(node, scratch, 'resources/list')).resources, [], 'list')
    const { resourceTemplates } = await ask(node, scratch, 'resources/templates/list')
    equal(resourceTemplates.length, 1, 'templates')
  })
  await sandbox.delete()
}
