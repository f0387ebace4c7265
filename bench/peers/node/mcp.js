// The twelve operations as an MCP server on the official SDKs, to compare bin/daytona-mcp
// with. The account is that of DAYTONA_API_URL and DAYTONA_API_KEY.
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import { Daytona } from '@daytona/sdk'
import { z } from 'zod'

const client = new Daytona({ useDeprecatedPolling: true })
const server = new McpServer({ name: 'peer', version: '1' })
const sandboxes = new Map()

async function find(id) {
  if (!sandboxes.has(id)) sandboxes.set(id, await client.get(id))
  return sandboxes.get(id)
}

function tool(name, description, inputSchema, outputSchema, run) {
  server.registerTool(name, { description, inputSchema, outputSchema }, async (args) => {
    const data = await run(args)
    return { content: [{ type: 'text', text: JSON.stringify(data) }], structuredContent: data }
  })
}

const sandboxId = z.string().min(1).describe('Id or name of the sandbox.')
const one = { sandbox: z.object({ id: z.string(), name: z.string().optional(), state: z.string().optional() }) }
const shown = ({ id, name, state }) => ({ sandbox: { id, name, state } })
const env = z.record(z.string(), z.string()).optional()
const timeout = z.number().min(1).max(86400).optional()

tool('daytona_create_sandbox', 'Creates a sandbox.', {
  snapshot: z.string().optional(), name: z.string().optional(), user: z.string().optional(), env,
  labels: env, autoStopInterval: z.number().int().min(0).optional(), public: z.boolean().optional(),
}, one, async (args) => shown(await client.create(args)))
tool('daytona_list_sandboxes', 'Lists sandboxes.', {
  limit: z.number().int().min(1).max(200).optional(), cursor: z.string().optional(), labels: env,
}, { sandboxes: z.array(z.object({ id: z.string() })) }, async (args) => {
  const rows = []
  for await (const { id } of client.list(args)) rows.push({ id })
  return { sandboxes: rows }
})
tool('daytona_get_sandbox', 'Looks at a sandbox.', { sandboxId }, one, async (args) => shown(await client.get(args.sandboxId)))
for (const what of ['start', 'stop', 'delete']) {
  tool(`daytona_${what}_sandbox`, `${what}s a sandbox.`, { sandboxId }, one, async (args) => {
    const sandbox = await client.get(args.sandboxId)
    await sandbox[what]()
    return shown(sandbox)
  })
}
tool('daytona_execute_command', 'Runs a shell command.', {
  sandboxId, command: z.string().min(1), cwd: z.string().optional(), env, timeout,
}, { exitCode: z.number(), result: z.string() }, async (args) => {
  const sandbox = await find(args.sandboxId)
  const { exitCode, result } = await sandbox.process.executeCommand(args.command, args.cwd, args.env, args.timeout ?? 10)
  return { exitCode, result }
})
tool('daytona_run_code', 'Runs code.', { sandboxId, code: z.string().min(1), env, timeout },
  { exitCode: z.number(), result: z.string() }, async (args) => {
    const { exitCode, result } = await (await find(args.sandboxId)).process.codeRun(args.code, { env: args.env }, args.timeout)
    return { exitCode, result }
  })
tool('daytona_upload_file', 'Writes a file.', { sandboxId, destinationPath: z.string().min(1), fileContent: z.string() },
  { uploadedPath: z.string(), size: z.number() }, async (args) => {
    const data = Buffer.from(args.fileContent, 'base64')
    await (await find(args.sandboxId)).fs.uploadFile(data, args.destinationPath)
    return { uploadedPath: args.destinationPath, size: data.length }
  })
tool('daytona_download_file', 'Reads a file.', { sandboxId, filePath: z.string().min(1) },
  { file: z.string(), size: z.number() }, async (args) => {
    const data = await (await find(args.sandboxId)).fs.downloadFile(args.filePath)
    return { file: data.toString('base64'), size: data.length }
  })
tool('daytona_list_files', 'Lists a folder.', { sandboxId, path: z.string().optional() },
  { files: z.array(z.object({ name: z.string(), isDir: z.boolean(), size: z.number() })) }, async (args) => {
    const files = await (await find(args.sandboxId)).fs.listFiles(args.path ?? '.')
    return { files: files.map(({ name, isDir, size }) => ({ name, isDir, size })) }
  })
tool('daytona_git_clone', 'Clones a repository.', {
  sandboxId, url: z.string().min(1), path: z.string(), branch: z.string().optional(),
}, { repoUrl: z.string(), clonePath: z.string() }, async (args) => {
  await (await find(args.sandboxId)).git.clone(args.url, args.path, args.branch)
  return { repoUrl: args.url, clonePath: args.path }
})

await server.connect(new StdioServerTransport())
