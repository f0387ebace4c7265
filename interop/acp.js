// The official ACP SDK as an editor of bin/daytona-acp, with a scripted model. The SDK checks
// every message against the protocol's schema.
import { deepStrictEqual as equal } from 'node:assert'
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { client, methods, ndJsonStream, PROTOCOL_VERSION } from '@agentclientprotocol/sdk'
import { step, until } from './steps.js'

// What the model says, reply by reply: a text, or calls.
function sse(reply) {
  const events = []
  const add = (type, data) => events.push(`event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`)
  if (typeof reply === 'string') {
    add('response.output_text.delta', { output_index: 0, delta: reply })
    add('response.output_item.done', { output_index: 0, item: { type: 'message', id: 'm', role: 'assistant',
      content: [{ type: 'output_text', text: reply, annotations: [] }] } })
  } else {
    reply.forEach(([name, args], i) => {
      const item = { type: 'function_call', call_id: `call_${i}`, name, arguments: JSON.stringify(args) }
      add('response.output_item.added', { output_index: i, item: { ...item, arguments: '' } })
      add('response.output_item.done', { output_index: i, item: { ...item, status: 'completed' } })
    })
  }
  add('response.completed', { response: { usage: { input_tokens: 1, output_tokens: 1 } } })
  return events.join('')
}

async function scriptedModel() {
  const model = { replies: [] }
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.end(sse(model.replies.shift() ?? 'nothing more to say'))
    })
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  model.url = `http://127.0.0.1:${server.address().port}`
  model.close = () => server.close()
  return model
}

async function work(agent, heard, model, folder) {
  let sessionId
  const prompt = async (text, replies) => {
    model.replies = replies
    heard.updates.length = 0
    const { stopReason } = await agent.request(methods.agent.session.prompt,
      { sessionId, prompt: [{ type: 'text', text }] })
    return stopReason
  }
  const told = (kind) => heard.updates.filter((one) => one.sessionUpdate === kind)

  await step('acp: the handshake', async () => {
    const result = await agent.request(methods.agent.initialize,
      { protocolVersion: PROTOCOL_VERSION, clientCapabilities: { fs: { readTextFile: true, writeTextFile: true } } })
    equal(result.protocolVersion, 1, 'version')
    sessionId = (await agent.request(methods.agent.session.new, { cwd: folder, mcpServers: [] })).sessionId
  })
  await step('acp: text and a plan', async () => {
    const entries = [{ content: 'look', status: 'in_progress' }]
    equal(await prompt('hello', [[['update_plan', { entries }]], 'well done']), 'end_turn', 'reason')
    equal(told('agent_message_chunk').map((one) => one.content.text).join(''), 'well done', 'text')
    equal(told('plan')[0].entries, [{ content: 'look', status: 'in_progress', priority: 'medium' }], 'plan')
  })
  await step('acp: an edit that the user allows is a difference, and here', async () => {
    heard.permit = 'allow_once'
    await prompt('edit', [[['edit', { path: 'a.txt', old_string: 'one', new_string: 'two' }]], 'done'])
    equal(readFileSync(join(folder, 'a.txt'), 'utf8'), 'two\n', 'file')
    const content = told('tool_call_update').flatMap((one) => one.content ?? [])
    equal(content.find((one) => one.type === 'diff'),
      { type: 'diff', path: join(folder, 'a.txt'), oldText: 'one\n', newText: 'two\n' }, 'diff')
    equal(heard.asked.at(-1).options.map((one) => one.kind),
      ['allow_once', 'allow_always', 'reject_once', 'reject_always'], 'options')
  })
  await step('acp: a new file, and one that the user does not let go', async () => {
    await prompt('make', [[['write', { path: 'b.txt', content: 'b' }]], 'done'])
    equal(readFileSync(join(folder, 'b.txt'), 'utf8'), 'b', 'file')
    heard.permit = (call) => (call.kind === 'delete' ? 'reject_once' : 'allow_once')
    await prompt('remove', [[['bash', { command: 'rm b.txt' }]], 'done'])
    equal(existsSync(join(folder, 'b.txt')), true, 'kept')
  })
  await step('acp: a cancelled turn', async () => {
    heard.permit = 'allow_once'
    const turn = prompt('wait', [[['bash', { command: 'sleep 1000' }]], 'never'])
    await until(() => told('tool_call_update').some((one) => one.status === 'in_progress'), 'the command')
    await agent.notify(methods.agent.session.cancel, { sessionId })
    equal(await turn, 'cancelled', 'reason')
  })
  await step('acp: a session is closed, listed, loaded and deleted', async () => {
    await agent.request(methods.agent.session.close, { sessionId })
    const { sessions } = await agent.request(methods.agent.session.list, { cwd: folder })
    equal(sessions.map((one) => [one.sessionId, one.title]), [[sessionId, 'hello']], 'list')
    heard.updates.length = 0
    await agent.request(methods.agent.session.load, { sessionId, cwd: folder, mcpServers: [] })
    equal(told('user_message_chunk').map((one) => one.content.text), ['hello', 'edit', 'make', 'remove', 'wait'], 'told')
    equal(await prompt('once more', ['well']), 'end_turn', 'reason')
    await agent.request(methods.agent.session.delete, { sessionId })
    equal((await agent.request(methods.agent.session.list, {})).sessions, [], 'list')
  })
}

export default async function acp(scratch) {
  const model = await scriptedModel()
  const folder = join(scratch, 'project')
  mkdirSync(folder)
  writeFileSync(join(folder, 'a.txt'), 'one\n')
  const env = { ...process.env, OPENAI_API_KEY: 'sk-none', OPENAI_BASE_URL: model.url, OPENAI_MODEL: 'scripted',
    XDG_STATE_HOME: join(scratch, 'state') }
  const program = spawn('../bin/daytona-acp', { env, stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = new Promise((resolve) => program.on('exit', resolve))
  const heard = { updates: [], asked: [], permit: 'allow_once' }
  const app = client({ name: 'interop' })
    .onNotification(methods.client.session.update, ({ params }) => { heard.updates.push(params.update) })
    .onRequest(methods.client.session.requestPermission, ({ params }) => {
      heard.asked.push(params)
      const said = typeof heard.permit === 'function' ? heard.permit(params.toolCall) : heard.permit
      return { outcome: { outcome: 'selected', optionId: said } }
    })
  await app.connectWith(ndJsonStream(Writable.toWeb(program.stdin), Readable.toWeb(program.stdout)),
    (agent) => work(agent, heard, model, folder))
  await step('acp: the end of the editor is the end of the agent', async () => {
    program.stdin.end()
    equal(await ended, 0, 'status')
  })
  model.close()
}
