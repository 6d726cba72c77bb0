-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Skete authors
-- What Lua programs spend their time with. Whoever reads the output takes the time between two lines:
-- the clock of a virtual machine's process also counts what the host gives to others.
io.stdout:setvbuf("no")

local function measure(name, work)
	collectgarbage()
	print("begin")
	for _ = 1, 5 do
		work()
	end
	print("lua: " .. name)
end

local function fibonacci(n)
	return n < 2 and n or fibonacci(n - 1) + fibonacci(n - 2)
end

measure("calls", function()
	assert(fibonacci(29) == 514229)
end)

measure("numbers", function()
	local x, y, vx, vy = 1.0, 0.0, 0.0, 1.0
	for _ = 1, 2000000 do
		local r = (x * x + y * y) ^ -1.5
		vx, vy = vx - x * r * 1e-3, vy - y * r * 1e-3
		x, y = x + vx * 1e-3, y + vy * 1e-3
	end
	assert(math.abs(x * x + y * y - 1) < 0.1)
end)

measure("tables", function()
	local values, seed = {}, 42
	for i = 1, 200000 do
		seed = (seed * 1103515245 + 12345) % 2147483648
		values[i] = seed
	end
	table.sort(values)
	for i = 2, #values do
		assert(values[i - 1] <= values[i])
	end
end)

measure("strings", function()
	local words = {}
	for i = 1, 100000 do
		words[#words + 1] = tostring(i):rep(3)
	end
	local text = table.concat(words, " ")
	local count = 0
	for word in text:gmatch("%d+") do
		count = count + #word
	end
	assert(count == 3 * 488895)
end)

measure("garbage", function()
	local function tree(depth)
		return depth == 0 and {} or { tree(depth - 1), tree(depth - 1) }
	end
	for _ = 1, 8 do
		tree(14)
	end
end)

measure("files", function()
	local name = os.tmpname()
	for _ = 1, 5 do
		local file = assert(io.open(name, "w"))
		for i = 1, 50000 do
			file:write(i, "\n")
		end
		file:close()
		local sum = 0
		for line in io.lines(name) do
			sum = sum + tonumber(line)
		end
		assert(sum == 1250025000)
	end
	os.remove(name)
end)
