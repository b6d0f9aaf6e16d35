-- The steward, in Redis: the rules of steward.py, which explains them. Name for name the same; change both together.
-- KEYS[1]: the prefix of all keys. ARGV[1]: a Report (MessagePack). ARGV[2]: the time, for tests; else it is Redis' own.
-- Returns a Reply (MessagePack). Who had better report at once is also told on the channel <prefix>poke:<worker>.

local TTL, QUIET, FORGET, IDLE, NEWS = 4, 1, 40 * 86400, 600, 600
local SLOTS, MONEY = 0, 2
local GHOST = {[0] = 0, [1] = 60, [2] = 3600}
local PREFIX = KEYS[1]

local now = tonumber(ARGV[2])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) + tonumber(time[2]) / 1000000
end

local function load(key, default)
  local blob = redis.call('GET', PREFIX .. key)
  return blob and cmsgpack.unpack(blob) or default
end

local function save(key, value)
  redis.call('SET', PREFIX .. key, cmsgpack.pack(value), 'EX', FORGET)
end

local function sorted(set)
  local names = {}
  for name in pairs(set) do names[#names + 1] = name end
  table.sort(names)
  return names
end

local r = cmsgpack.unpack(ARGV[1])
local report = {worker = r[1], number = r[2], run = r[3], heard = r[4], groups = r[5], news = r[6], bye = r[7]}
local state = load('state', {run = '', quiet = 0, count = 0})
local workers = load('workers', {})
local groups, poke, count = {}, {}, 0
for _ in pairs(workers) do count = count + 1 end

local function whole_of(limit)
  if limit.learned < 0 then return limit.most end
  local learned = limit.learned
  if limit.kind ~= MONEY then learned = math.max(1, math.floor(learned)) end
  if limit.most < 0 then return learned end
  return math.min(limit.most, learned)
end

local function group_of(name)
  local group = groups[name]
  if not group then
    group = load('group:' .. name, {limits = {}, waiting = {}, turn = 0})
    groups[name] = group
  end
  for key, limit in pairs(group.limits) do
    for worker, part in pairs(limit.parts) do
      if part['until'] >= 0 and part['until'] <= now then
        if limit.kind == MONEY then limit.gone = limit.gone + part.held end
        limit.parts[worker] = nil
      end
    end
    if limit.at + (whole_of(limit) >= 0 and FORGET or IDLE) < now then group.limits[key] = nil end
  end
  return group
end

local function used_of(limit)
  local used = limit.gone
  for _, part in pairs(limit.parts) do used = used + part.used end
  return used
end

local function pending_of(limit)
  local pending = 0
  for _, part in pairs(limit.parts) do pending = pending + (part.pending or 0) end
  return pending
end

local function update(group, said, worker, trusted)
  for _, u in ipairs(said[2]) do
    local name, kind, held, used, like, most, cut, raised, spent, pending = unpack(u)
    local limit = group.limits[name]
    if not limit then
      limit = {kind = kind, at = now, most = -1, learned = -1, gone = 0, parts = {}}
      group.limits[name] = limit
    end
    limit.at = now
    if most >= 0 then limit.most = most end
    if cut >= 0 then
      limit.learned = limit.learned < 0 and cut or math.min(limit.learned, cut)
    elseif limit.learned >= 0 then
      limit.learned = limit.learned + raised
      if limit.most >= 0 then limit.learned = math.min(limit.learned, limit.most) end
    end
    local part = limit.parts[worker] or {given = 0}
    limit.parts[worker] = part
    part.held = trusted and math.max(used, held) or used
    part.given = trusted and part.given or 0
    part.used, part.like, part['until'], part.poked = used, like, -1, false
    part.pending = pending
    if spent > 0 then
      local parts = 0
      for _ in pairs(limit.parts) do parts = parts + 1 end
      if now < state.quiet or parts == 1 then limit.gone = limit.gone + math.max(0, spent - used_of(limit)) end
    end
  end
  local before, waiting = {}, {}
  for _, w in ipairs(group.waiting) do
    if w.worker == worker then before[w.who] = w.turn else waiting[#waiting + 1] = w end
  end
  for _, claim in ipairs(said[3]) do
    local turn = before[claim[1]]
    if not turn then
      group.turn = group.turn + 1
      turn = group.turn
    end
    waiting[#waiting + 1] =
      {worker = worker, who = claim[1], turn = turn, count = claim[2], firm = claim[3], needs = claim[4]}
  end
  group.waiting = waiting
end

local function tell(worker, name)
  if workers[worker] then
    redis.call('SADD', PREFIX .. 'untold:' .. worker, name)
    poke[worker] = true
  end
end

local function serve(name, group, free)
  local short, promised, line = {}, {}, {}
  for i, waiting in ipairs(group.waiting) do line[i] = waiting end
  while #line > 0 do
    local first = 1
    for i = 2, #line do
      if line[i].turn < line[first].turn then first = i end
    end
    local waiting = table.remove(line, first)
    local worker, lacks, fits = waiting.worker, {}, true
    for key, need in pairs(waiting.needs) do
      local part = free[key] and group.limits[key].parts[worker]
      if part then
        local has = part.held + part.given - part.used - (promised[worker .. '\n' .. key] or 0)
        local lack = need - math.max(0, has)
        lacks[key] = lack
        if lack > 0 and lack > free[key] then fits = false end
      end
    end
    if fits then
      for key, lack in pairs(lacks) do
        local at = worker .. '\n' .. key
        promised[at] = (promised[at] or 0) + waiting.needs[key]
        if lack > 0 then
          free[key] = free[key] - lack
          local part = group.limits[key].parts[worker]
          part.given = part.given + lack
          tell(worker, name)
        end
      end
      group.turn = group.turn + 1
      waiting.turn, waiting.count = group.turn, waiting.count - 1
      if waiting.count > 0 then line[#line + 1] = waiting end
    else
      for key, lack in pairs(lacks) do
        if lack > 0 and lack > free[key] then
          short[key] = short[key] or {}
          short[key][worker] = true
        end
        if waiting.firm and lack > 0 then
          free[key] = free[key] - math.max(0, math.min(lack, free[key]))
        end
      end
    end
  end
  local left = {}
  for _, waiting in ipairs(group.waiting) do
    if waiting.count > 0 then left[#left + 1] = waiting end
  end
  group.waiting = left
  return short
end

local function lacked_by_another(lacking, worker)
  for other in pairs(lacking or {}) do
    if other ~= worker then return true end
  end
  return false
end

local function press(name, group, short)
  for key, lacking in pairs(short) do
    for worker, part in pairs(group.limits[key].parts) do
      local spare = part['until'] < 0 and not part.poked and part.held + part.given > part.used
      if spare and lacked_by_another(lacking, worker) then
        part.poked = true
        tell(worker, name)
      end
    end
  end
end

local function divide(name, worker)
  local group = group_of(name)
  local free, short, shares = {}, {}, {}
  for key, limit in pairs(group.limits) do
    local whole = whole_of(limit)
    if whole >= 0 then
      local held = limit.gone
      for _, part in pairs(limit.parts) do held = held + part.held + part.given end
      free[key] = whole - held
    end
  end
  if now >= state.quiet then short = serve(name, group, free) end
  press(name, group, short)
  local queued = 0
  for _, waiting in ipairs(group.waiting) do
    if waiting.worker ~= worker then queued = queued + waiting.count end
  end
  for _, key in ipairs(sorted(group.limits)) do
    local limit = group.limits[key]
    local part = limit.parts[worker]
    if part and part['until'] < 0 then
      local room, whole, used = 0, whole_of(limit), used_of(limit)
      if free[key] and not short[key] then
        room = math.max(0, math.floor((whole - used) / (count == 1 and 1 or 2 * count)))
        if part.like >= 0 then room = math.min(room, part.like) end
        if now >= state.quiet then
          part.given = part.given + math.max(0, math.min(free[key], part.used + room - part.held - part.given))
        end
      end
      part.held, part.given = part.held + part.given, 0
      local pressed = lacked_by_another(short[key], worker)
      local others = used - part.used
      local gone = others - pending_of(limit) + (part.pending or 0)
      shares[#shares + 1] = {key, part.held, whole, limit.most, limit.learned, others, pressed, room, gone, queued}
    end
  end
  return shares
end

local function bury(worker, bye)
  workers[worker] = nil
  count = count - 1
  local names = redis.call('SMEMBERS', PREFIX .. 'groups:' .. worker)
  redis.call('DEL', PREFIX .. 'groups:' .. worker, PREFIX .. 'untold:' .. worker)
  table.sort(names)
  for _, name in ipairs(names) do
    local group, waiting = group_of(name), {}
    for _, w in ipairs(group.waiting) do
      if w.worker ~= worker then waiting[#waiting + 1] = w end
    end
    group.waiting = waiting
    for _, limit in pairs(group.limits) do
      local part = limit.parts[worker]
      if part then
        part.held = bye and part.used or part.held + part.given
        part.used, part.given, part.pending = part.held, 0, 0
        if limit.kind == SLOTS or part.held <= 0 then
          limit.parts[worker] = nil
        elseif bye and limit.kind == MONEY then
          limit.gone = limit.gone + part.held
          limit.parts[worker] = nil
        else
          part['until'] = now + GHOST[limit.kind]
        end
      end
    end
    divide(name, '')
  end
end

local function news()
  local known = (#report.news > 0 or report.heard < state.count) and load('news', {}) or {}
  for _, item in ipairs(report.news) do
    state.count = state.count + 1
    local till = item[3] < 0 and -1 or now + item[3]
    known[item[1]] = {number = state.count, worker = report.worker, kind = item[2], strikes = item[4], till = till}
  end
  if #report.news > 0 then
    for worker in pairs(workers) do poke[worker] = true end
    for name, told in pairs(known) do
      if told.till >= 0 and told.till < now - NEWS then known[name] = nil end
    end
    save('news', known)
  end
  local fresh, found = {}, {}
  for name, told in pairs(known) do
    if told.number > report.heard and told.worker ~= report.worker then
      told.name = name
      fresh[#fresh + 1] = told
    end
  end
  table.sort(fresh, function(a, b) return a.number < b.number end)
  for i, told in ipairs(fresh) do
    found[i] = {told.name, told.kind, told.till < 0 and -1 or math.max(0, told.till - now), told.strikes}
  end
  return found
end

local function finish(reply)
  for name, group in pairs(groups) do save('group:' .. name, group) end
  save('workers', workers)
  save('state', state)
  poke[report.worker] = nil
  reply[7] = sorted(poke)
  for _, worker in ipairs(reply[7]) do redis.call('PUBLISH', PREFIX .. 'poke:' .. worker, '') end
  return cmsgpack.pack(reply)
end

if report.run ~= state.run then state.run, state.quiet = report.run, now + QUIET end
for _, name in ipairs(sorted(workers)) do
  if workers[name]['until'] <= now then bury(name, false) end
end
local me = workers[report.worker]
if me and report.number <= me.number then
  return finish({0, 0, false, 0, {}, {}, {}})
end
if report.bye then
  if me then
    for _, said in ipairs(report.groups) do
      local known = redis.call('SISMEMBER', PREFIX .. 'groups:' .. report.worker, said[1]) == 1
      update(group_of(said[1]), said, report.worker, known)
    end
    bury(report.worker, true)
  end
  return finish({0, 0, false, 0, {}, {}, {}})
end
if not me then
  for worker in pairs(workers) do poke[worker] = true end
  me = {}
  workers[report.worker] = me
  count = count + 1
end
me['until'], me.number = now + TTL, report.number
local names, reported = {}, {}
for _, said in ipairs(report.groups) do
  names[#names + 1] = said[1]
  reported[said[1]] = true
  local fresh = redis.call('SADD', PREFIX .. 'groups:' .. report.worker, said[1]) == 1
  update(group_of(said[1]), said, report.worker, not fresh or now < state.quiet)
end
local untold = redis.call('SMEMBERS', PREFIX .. 'untold:' .. report.worker)
table.sort(untold)
for _, name in ipairs(untold) do
  if not reported[name] then names[#names + 1] = name end
end
local replies = {}
for i, name in ipairs(names) do replies[i] = {name, divide(name, report.worker)} end
redis.call('DEL', PREFIX .. 'untold:' .. report.worker)
local order, rank = sorted(workers), 0
for i, name in ipairs(order) do
  if name == report.worker then rank = i - 1 end
end
local found = news()
return finish({#order, rank, now < state.quiet, state.count, replies, found, {}})
