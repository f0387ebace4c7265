// Local files of images, handed over to a store that gives temporary keys (store.py): what
// store.lua does there.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { skip, step } from './steps.js'

const python = 'node_modules/.python/bin/python'

export default async function store(scratch) {
  const name = 'files of images in a store with temporary keys'
  if (!existsSync(python) || spawnSync(python, ['-c', 'import moto, boto3']).status) return skip(name, 'no moto')
  await step(name, async () => {
    const folder = join(scratch, 'context')
    mkdirSync(folder)
    writeFileSync(join(folder, 'data'), randomBytes(12 * 1048576))
    const server = spawn(python, ['store.py'], { stdio: ['pipe', 'pipe', 'inherit'] })
    try {
      let grant
      for await (const line of createInterface(server.stdout)) {
        grant = line.split(' ')
        if (grant.length === 4) break
      }
      const lua = ['../lua/?.lua', '../lua/?/init.lua', ';'].join(';')
      const run = spawnSync('lua5.4', ['store.lua', ...grant, folder], {
        encoding: 'utf8', timeout: 50000,
        env: { ...process.env, LUA_PATH: lua, LUA_CPATH: '../build/lua5.4/?.so;;' },
      })
      assert.equal(run.stdout, 'stored\n', run.stderr)
    } finally {
      server.stdin.end()
      await once(server, 'exit')
    }
  })
}
