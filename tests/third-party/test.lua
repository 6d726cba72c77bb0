-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Skete authors
-- What Lua's libraries need of the system: files, time, memory, and the rest of the language.
assert(_VERSION == "Lua 5.4" and arg[1] == "an argument")

local file = assert(io.open("/tmp/numbers", "w+"))
assert(file:setvbuf("full", 4096))
for i = 1, 10000 do
	file:write(i, "\n")
end
assert(file:seek("set", 0) == 0)
local sum = 0
for line in file:lines() do
	sum = sum + tonumber(line)
end
assert(sum == 50005000)
file:close()
assert(os.rename("/tmp/numbers", "/tmp/renamed"))
assert(io.open("/tmp/numbers") == nil)
for number in io.lines("/tmp/renamed", "n") do
	sum = sum - number
end
assert(sum == 0 and os.remove("/tmp/renamed"))
local name = os.tmpname()
assert(io.open(name, "a")):close()
assert(os.remove(name))
assert(select(2, io.open("/no/such/file")):find("No such file"))

assert(os.time() > 1500000000 and os.clock() >= 0)
assert(os.date("!%Y-%m-%d %H:%M:%S", 86400) == "1970-01-02 00:00:00")
assert(os.getenv("NOTHING") == nil)

local values = {}
for i = 1, 200000 do
	values[i] = math.sin(i)
end
table.sort(values)
for i = 2, #values do
	assert(values[i - 1] <= values[i])
end
local parts = {}
for word in ("a skete is a settlement of hermits"):gmatch("%a+") do
	parts[#parts + 1] = word:upper()
end
assert(table.concat(parts, "-") == "A-SKETE-IS-A-SETTLEMENT-OF-HERMITS")
assert(string.format("%8.3f|%-6s|%04x|%q", math.pi, "ab", 255, "\n") == '   3.142|ab    |00ff|"\\\n"')
assert(string.unpack("<i4", string.pack("<i4", -5)) == -5)
assert(utf8.len("αβγ") == 3)

local fibonacci = coroutine.wrap(function()
	local a, b = 0, 1
	while true do
		coroutine.yield(a)
		a, b = b, a + b
	end
end)
for _ = 1, 50 do
	fibonacci()
end
assert(fibonacci() == 12586269025)
local ok, message = pcall(error, { code = 7 })
assert(not ok and message.code == 7)
local weak = setmetatable({}, { __mode = "v" })
weak[1] = {}
collectgarbage()
assert(weak[1] == nil)
assert(load("return 6 * 7")() == 42)
print("all is well")
os.exit(3)
