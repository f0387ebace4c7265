// The official MCP clients do a day's work with bin/daytona-mcp: the new client package in
// both of its ways to begin, the old SDK, and (mcp_clients.py) the Python package in both.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { Client as NewClient } from '@modelcontextprotocol/client'
import { StdioClientTransport as NewTransport } from '@modelcontextprotocol/client/stdio'
import { Client as OldClient } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport as OldTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { skip, step } from './steps.js'

const info = { name: 'interop', version: '1' }

const modes = {
  'client, handshake': [NewTransport, () => new NewClient(info)],
  'client, newest revision': [NewTransport, () => new NewClient(info, { versionNegotiation: { mode: 'auto' } })],
  'sdk': [OldTransport, () => new OldClient(info)],
}

function equal(actual, wanted, what) {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(wanted)]
  if (a !== b) throw new Error(`${what}: ${a}, not ${b}`)
}

async function work(client, label) {
  const call = async (name, args, options) => {
    const result = await client.callTool({ name, arguments: args }, ...(options ?? []))
    if (result.isError) throw new Error(`${name}: ${result.content[0].text}`)
    return result
  }
  let sandboxId

  await step(`mcp ${label}: lists twelve tools`, async () => {
    const { tools } = await client.listTools()
    equal(tools.length, 12, 'tools')
    if (!tools.every((tool) => tool.outputSchema && tool.annotations)) throw new Error('a tool lacks a schema')
  })
  await step(`mcp ${label}: creates a sandbox and runs a command`, async () => {
    const made = await call('daytona_create_sandbox', {})
    sandboxId = made.structuredContent.sandbox.id
    const ran = await call('daytona_execute_command', { sandboxId, command: 'echo hi; exit 3' })
    equal(ran.structuredContent, { exitCode: 3, result: 'hi\n' }, 'result')
    equal(JSON.parse(ran.content[0].text), ran.structuredContent, 'text')
  })
  await step(`mcp ${label}: is told what is wrong`, async () => {
    const result = await client.callTool({ name: 'daytona_execute_command', arguments: { sandboxId, command: 5 } })
    equal([result.isError, result.content[0].text], [true, 'command must be a string, not 5'], 'error')
  })
  await step(`mcp ${label}: reads the whole of a long output`, async () => {
    const result = await call('daytona_execute_command', { sandboxId, command: 'seq 1 100000' })
    if (result.content[0].text.length > 50 * 1024) throw new Error('too long')
    const link = result.content.find((one) => one.type === 'resource_link')
    const { contents } = await client.readResource({ uri: link.uri })
    equal(contents[0].text.length, 588895, 'length')
  })
  await step(`mcp ${label}: hears of progress`, async () => {
    const heard = []
    const options = { onprogress: (progress) => heard.push(progress.message) }
    const args = { sandboxId, command: 'for i in 1 2 3; do echo step $i; sleep 0.7; done' }
    await client.callTool({ name: 'daytona_execute_command', arguments: args },
      ...(client instanceof OldClient ? [undefined, options] : [options]))
    if (!heard.length || !/^step \d$/.test(heard[0])) throw new Error(`heard ${heard}`)
  })
  await step(`mcp ${label}: cancels`, async () => {
    const abort = new AbortController()
    const args = { sandboxId, command: 'sleep 4242', timeout: 600 }
    const options = { signal: abort.signal }
    const running = client.callTool({ name: 'daytona_execute_command', arguments: args },
      ...(client instanceof OldClient ? [undefined, options] : [options]))
    const find = () => call('daytona_execute_command', { sandboxId, command: "pgrep -cf '^sleep 4242' || true" })
    while ((await find()).structuredContent.result.trim() === '0') ;
    abort.abort()
    await running.then(() => { throw new Error('it was answered') }, () => {})
    while ((await find()).structuredContent.result.trim() !== '0') ;
  })
  await step(`mcp ${label}: deletes the sandbox`, () => call('daytona_delete_sandbox', { sandboxId }))
}

export default async function mcp() {
  for (const [label, [Transport, make]] of Object.entries(modes)) {
    const client = make()
    await step(`mcp ${label}: connects`, () => client.connect(new Transport({
      command: '../bin/daytona-mcp', args: ['--tools', 'operations'], env: process.env, stderr: 'inherit',
    })))
    await work(client, label)
    await client.close()
  }
  const python = 'node_modules/.python/bin/python'
  if (!existsSync(python)) return skip('mcp Python', 'the package is not installed')
  await step('mcp Python: both clients do their work', () => {
    const run = spawnSync(python, ['mcp_clients.py'], { encoding: 'utf8', timeout: 50000 })
    process.stdout.write(run.stdout)
    if (run.status !== 0) throw new Error(run.stderr || `status ${run.status}`)
  })
}
