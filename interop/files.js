// Files and folders.
import assert from 'node:assert/strict'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { DaytonaNotFoundError } from '@daytona/sdk'
import { step } from './steps.js'

const bytes = Buffer.from(Array.from({ length: 300000 }, (_, i) => (i * 7) & 255))

async function collect(stream) {
  const chunks = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function transfers(sandbox, scratch) {
  const fs = sandbox.fs

  await step('upload a file, from memory and from disk', async () => {
    await fs.uploadFile(bytes, 'data/bytes.bin')
    const local = join(scratch, 'report.csv')
    writeFileSync(local, 'a,b\n1,2\n')
    await fs.uploadFile(local, 'data/report.csv')
    const r = await sandbox.process.executeCommand('cat data/report.csv; wc -c <data/bytes.bin')
    assert.equal(r.result.replace(/ /g, ''), 'a,b\n1,2\n300000\n')
  })

  await step('upload several files at once', async () => {
    const local = join(scratch, 'three')
    writeFileSync(local, 'three')
    await fs.uploadFiles([
      { source: Buffer.from('one'), destination: 'many/1.txt' },
      { source: Buffer.from('two'), destination: 'many/two words.txt' },
      { source: local, destination: 'many/übung "3"' },
      { source: Buffer.alloc(0), destination: 'many/empty' },
    ])
    const r = await sandbox.process.executeCommand('cat many/*')
    assert.equal(r.result, 'onetwothree')
  })

  await step('download a file, to memory and to disk', async () => {
    assert.ok(bytes.equals(await fs.downloadFile('data/bytes.bin')))
    const local = join(scratch, 'copy.bin')
    await fs.downloadFile('data/bytes.bin', local)
    assert.equal(statSync(local).size, bytes.length)
    assert.ok(bytes.equals(readFileSync(local)))
    await assert.rejects(fs.downloadFile('data/none'), DaytonaNotFoundError)
  })

  await step('download several files at once, with what went wrong', async () => {
    const local = join(scratch, 'many', 'one')
    const results = await fs.downloadFiles([
      { source: 'many/1.txt', destination: local }, { source: 'many/übung "3"' },
      { source: 'many/none' }, { source: 'data/bytes.bin' },
    ])
    const by = Object.fromEntries(results.map((r) => [r.source, r]))
    assert.equal(readFileSync(local, 'utf8'), 'one')
    assert.equal(by['many/übung "3"'].result.toString(), 'three')
    assert.ok(by['many/none'].error)
    assert.equal(by['many/none'].result, undefined)
    assert.equal(by['many/none'].errorDetails.statusCode, 404)
    assert.ok(bytes.equals(by['data/bytes.bin'].result))
  })

  await step('stream a file up and down, with progress', async () => {
    let sent = 0
    let received = {}
    const parts = Array.from({ length: 64 }, () => bytes)
    await fs.uploadFileStream(Readable.from(parts), 'data/stream.bin', {
      onProgress: (p) => { sent = p.bytesSent },
    })
    assert.equal(sent, 64 * bytes.length)
    const stream = await fs.downloadFileStream('data/stream.bin', { onProgress: (p) => { received = p } })
    assert.ok(Buffer.concat(parts).equals(await collect(stream)))
    assert.equal(received.bytesReceived, sent)
    assert.equal(received.totalBytes, sent)
    await assert.rejects(fs.downloadFileStream('data/none'), DaytonaNotFoundError)
  })
}

async function names(sandbox) {
  const fs = sandbox.fs

  await step('make a folder', async () => {
    await fs.createFolder('tree/a/b', '750')
    const info = await fs.getFileDetails('tree/a/b')
    assert.equal(info.isDir, true)
    assert.equal(info.permissions, '0750')
  })

  await step('list files', async () => {
    const files = await fs.listFiles('data')
    assert.deepEqual(files.map((f) => f.name).sort(), ['bytes.bin', 'report.csv', 'stream.bin'])
    const file = files.find((f) => f.name === 'bytes.bin')
    assert.equal(file.size, 300000)
    assert.equal(file.isDir, false)
    const top = await fs.listFiles('.')
    assert.ok(top.some((f) => f.name === 'data' && f.isDir))
    await assert.rejects(fs.listFiles('none'), DaytonaNotFoundError)
  })

  await step('list a tree, as deep as wanted', async () => {
    await fs.uploadFile(Buffer.from('x = 1\ny = 2\n'), 'tree/a/b/deep.py')
    const one = await fs.listFiles('tree', { depth: 1 })
    assert.deepEqual(one.map((f) => f.name), ['a'])
    const all = await fs.listFiles('tree', { depth: 3 })
    assert.deepEqual(all.map((f) => f.name.split('/').pop()).sort(), ['a', 'b', 'deep.py'])
  })

  await step('look at a file', async () => {
    const info = await fs.getFileDetails('tree/a/b/deep.py')
    assert.equal(info.name, 'deep.py')
    assert.equal(info.size, 12)
    assert.equal(info.isDir, false)
    assert.match(info.mode, /^-rw-/)
    assert.ok(info.owner && info.group)
    assert.ok(Math.abs(Date.parse(info.modifiedAt) - Date.now()) < 60000)
    await assert.rejects(fs.getFileDetails('none'), DaytonaNotFoundError)
  })

  await step('change permissions', async () => {
    await fs.setFilePermissions('tree/a/b/deep.py', { mode: '600' })
    assert.equal((await fs.getFileDetails('tree/a/b/deep.py')).permissions, '0600')
    await assert.rejects(fs.setFilePermissions('none', { mode: '600' }), DaytonaNotFoundError)
  })

  await step('move a file', async () => {
    await fs.moveFiles('tree/a/b/deep.py', 'tree/moved.py')
    assert.equal((await fs.getFileDetails('tree/moved.py')).size, 12)
    await assert.rejects(fs.getFileDetails('tree/a/b/deep.py'), DaytonaNotFoundError)
    await assert.rejects(fs.moveFiles('none', 'tree/none'), DaytonaNotFoundError)
  })
}

async function contents(sandbox) {
  const fs = sandbox.fs

  await step('find text in files', async () => {
    await fs.uploadFiles([
      { source: Buffer.from('alpha\nbeta\nalphabet\n'), destination: 'text/one.txt' },
      { source: Buffer.from('gamma\n'), destination: 'text/sub/two.txt' },
      { source: Buffer.from('alpha\n'), destination: 'text/sub/three.md' },
    ])
    const found = (await fs.findFiles('text', 'alpha'))
      .map((m) => `${m.file.replace(/.*text\//, '')}:${m.line}:${m.content.trim()}`)
    assert.deepEqual(found.sort(), ['one.txt:1:alpha', 'one.txt:3:alphabet', 'sub/three.md:1:alpha'])
    assert.deepEqual(await fs.findFiles('text', 'omega'), [])
  })

  await step('search names', async () => {
    const { files } = await fs.searchFiles('text', '*.txt')
    assert.deepEqual(files.map((f) => f.split('/').pop()).sort(), ['one.txt', 'two.txt'])
  })

  await step('replace text in files', async () => {
    const results = await fs.replaceInFiles(['text/one.txt', 'text/none.txt'], 'alpha', 'omega')
    assert.deepEqual(results.map((r) => r.success), [true, false])
    assert.ok(results[1].error)
    assert.equal((await fs.downloadFile('text/one.txt')).toString(), 'omega\nbeta\nomegabet\n')
  })

  await step('delete a file, and a folder only when asked to', async () => {
    await fs.deleteFile('text/one.txt')
    await assert.rejects(fs.getFileDetails('text/one.txt'), DaytonaNotFoundError)
    await assert.rejects(fs.deleteFile('text'))
    await fs.deleteFile('text', true)
    await assert.rejects(fs.listFiles('text'), DaytonaNotFoundError)
    await assert.rejects(fs.deleteFile('none'), DaytonaNotFoundError)
  })
}

export default async function (sandbox, { scratch }) {
  await transfers(sandbox, scratch)
  await names(sandbox)
  await contents(sandbox)
}
