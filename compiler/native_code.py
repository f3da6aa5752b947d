"""The native code that all programs share, as LLVM IR: threads that take blocks of a job, and recycled memory.

It is compiled once for a machine (`native` loads it). Nothing in it calls Python, but `new_array`; nothing in it spins without end.

**Jobs.** A job is a kernel over [0, extent) of its main loop, in `count` blocks of `rows`. It lies on the stack of the
thread that runs it, as 64-bit words:

    function, which, rows, extent, count, arguments, words of the arguments, copies, then (word, base, stride) for each copy

Block k calls `function(which, k * rows, min((k + 1) * rows, extent), arguments)`. Where there are copies, it first copies
the arguments and puts base + k * stride into the word: the block's own copy of what the kernel reduces.

**Threads.** There is one place for a job, taken by whoever finds it free; who does not, runs his blocks himself. The
place has a ticket: a number of the job in its upper half, the number of blocks left in its lower half. To take a block is
to exchange the ticket for the next one; so a worker that wakes late, with an old ticket in hand, gets nothing. It reads
the job's address between the two: the exchange succeeds only if that was the address for this ticket. The last block to
finish wakes the owner, who waits for nothing else: blocks that nobody took he has run himself.

A worker that fell asleep on the owner's processor is told to leave it before it is woken. Linux may queue it there although
another is idle (a virtual processor that has halted does not count as available), for call after call, and all blocks then run
on one processor.

Where the owner waits for longer than it worked, other programs are using the processors: a worker is suspended with a block in
its hands. The next jobs run alone, for a time in proportion to the wait. An owner waits awake for some microseconds, then
asleep: workers sleep at once.

**Memory.** Blocks carry a header of 64 bytes before their data: what malloc gave, and how many bytes there are. Freed
large blocks are kept in a ring of places, the oldest given back first, up to a limit of bytes. The interpreter's lock
protects it: NumPy frees arrays with the lock held.
"""
from __future__ import annotations

__all__ = ["LARGE", "MOST_WORKERS", "NATIVE", "PLACES"]

LARGE = 1 << 18  # bytes; from here on page faults cost more than the pool
HUGE = 1 << 21  # bytes; from here on huge pages are asked for, as NumPy does
PLACES = 32
MOST_WORKERS = 256  # that are told where to run; others are left to the system
MASK = 128  # bytes of a set of processors
SPIN = 20_000  # ns that a thread waits before it sleeps: about what it costs to wake one
PATIENCE = 100_000  # ns
ALONE, LONGEST_ALONE = 16, 200_000_000

NATIVE = f"""
@ticket = internal global i64 0, align 64
@pending = internal global i64 0, align 64
@job = internal global ptr null, align 64
@busy = global i32 0, align 64
@helpers = global i32 0, align 64
@wake = global [32 x i8] zeroinitializer, align 64
@finished = global [32 x i8] zeroinitializer, align 64
; Of each worker: its number for the system, the processor on which it fell asleep, the one that it must not use (or -1).
@thread = global [{MOST_WORKERS} x i32] zeroinitializer
@alone_until = global i64 0, align 64
@asleep_on = internal global [{MOST_WORKERS} x i32] zeroinitializer
@not_on = global [{MOST_WORKERS} x i32] zeroinitializer

declare i32 @sched_getcpu()
declare i32 @sched_getaffinity(i32, i64, ptr)
declare i32 @sched_setaffinity(i32, i64, ptr)
declare i32 @clock_gettime(i32, ptr)
declare i32 @sem_wait(ptr)
declare i32 @sem_trywait(ptr)
declare i32 @sem_post(ptr)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare i64 @llvm.smin.i64(i64, i64)
declare i64 @llvm.umin.i64(i64, i64)
declare i8 @llvm.fshl.i8(i8, i8, i8)
declare i8 @llvm.fshr.i8(i8, i8, i8)

; ------------------------------------------------------------------------------------------------ jobs
define internal i64 @word(ptr %job, i64 %number) alwaysinline {{
  %place = getelementptr i64, ptr %job, i64 %number
  %value = load i64, ptr %place
  ret i64 %value
}}

define internal void @block(ptr %job, i64 %number) noinline {{
entry:
  %function = load ptr, ptr %job
  %which = call i64 @word(ptr %job, i64 1)
  %rows = call i64 @word(ptr %job, i64 2)
  %extent = call i64 @word(ptr %job, i64 3)
  %address = call i64 @word(ptr %job, i64 5)
  %given = inttoptr i64 %address to ptr
  %copies = call i64 @word(ptr %job, i64 7)
  %start = mul i64 %number, %rows
  %past = add i64 %start, %rows
  %stop = call i64 @llvm.smin.i64(i64 %past, i64 %extent)
  %shared = icmp eq i64 %copies, 0
  br i1 %shared, label %run, label %own

own:
  %words = call i64 @word(ptr %job, i64 6)
  %bytes = shl i64 %words, 3
  %copy = alloca i64, i64 %words
  call void @llvm.memcpy.p0.p0.i64(ptr %copy, ptr %given, i64 %bytes, i1 false)
  br label %next

next:
  %k = phi i64 [ 0, %own ], [ %k.next, %next ]
  %triple = mul i64 %k, 3
  %at = add i64 %triple, 8
  %at.base = add i64 %triple, 9
  %at.stride = add i64 %triple, 10
  %place = call i64 @word(ptr %job, i64 %at)
  %base = call i64 @word(ptr %job, i64 %at.base)
  %stride = call i64 @word(ptr %job, i64 %at.stride)
  %offset = mul i64 %number, %stride
  %mine = add i64 %base, %offset
  %slot = getelementptr i64, ptr %copy, i64 %place
  store i64 %mine, ptr %slot
  %k.next = add i64 %k, 1
  %more = icmp ult i64 %k.next, %copies
  br i1 %more, label %next, label %run

run:
  %arguments = phi ptr [ %given, %entry ], [ %copy, %next ]
  call void %function(i64 %which, i64 %start, i64 %stop, ptr %arguments)
  ret void
}}

; Run blocks of the job in the place until none is left. Whether the last one to finish was run here.
define internal i1 @take() {{
entry:
  br label %look

look:
  %ticket = load atomic i64, ptr @ticket acquire, align 8
  %left = and i64 %ticket, 4294967295
  %none = icmp eq i64 %left, 0
  br i1 %none, label %over, label %try

try:
  %job = load atomic ptr, ptr @job monotonic, align 8
  %less = sub i64 %ticket, 1
  %exchange = cmpxchg ptr @ticket, i64 %ticket, i64 %less acq_rel acquire
  %won = extractvalue {{ i64, i1 }} %exchange, 1
  br i1 %won, label %run, label %look

run:
  %number = sub i64 %left, 1
  call void @block(ptr %job, i64 %number)
  %before = atomicrmw sub ptr @pending, i64 1 acq_rel
  %last = icmp eq i64 %before, 1
  br i1 %last, label %over, label %look

over:
  %result = phi i1 [ false, %look ], [ true, %run ]
  ret i1 %result
}}

; Have each worker that sleeps on this processor wake on another one. Any of those that were started may be woken.
define internal void @move_away() {{
entry:
  %mask = alloca [{MASK} x i8], align 8
  %here = call i32 @sched_getcpu()
  %known = icmp ult i32 %here, {8 * MASK}
  br i1 %known, label %each, label %done

each:
  %k = phi i32 [ 0, %entry ], [ %k.next, %next ]
  %more = icmp ult i32 %k, {MOST_WORKERS}
  br i1 %more, label %look, label %done

look:
  %at.thread = getelementptr [{MOST_WORKERS} x i32], ptr @thread, i64 0, i32 %k
  %thread = load atomic i32, ptr %at.thread monotonic, align 4
  %started = icmp ne i32 %thread, 0
  br i1 %started, label %place, label %done

place:
  %at = getelementptr [{MOST_WORKERS} x i32], ptr @asleep_on, i64 0, i32 %k
  %where = load atomic i32, ptr %at monotonic, align 4
  %same = icmp eq i32 %where, %here
  br i1 %same, label %read, label %next

read:
  store atomic i32 -1, ptr %at monotonic, align 4
  call void @llvm.memset.p0.i64(ptr %mask, i8 0, i64 {MASK}, i1 false)
  %unread = call i32 @sched_getaffinity(i32 %thread, i64 {MASK}, ptr %mask)
  %got = icmp eq i32 %unread, 0
  br i1 %got, label %change, label %next

change:
  %at.not = getelementptr [{MOST_WORKERS} x i32], ptr @not_on, i64 0, i32 %k
  %before = load i32, ptr %at.not
  %any = icmp ne i32 %before, -1
  %allowed = zext i1 %any to i8
  %back = select i1 %any, i32 %before, i32 0
  call void @mark(ptr %mask, i32 %back, i8 %allowed, i8 -1)
  call void @mark(ptr %mask, i32 %here, i8 0, i8 -2)
  %refused = call i32 @sched_setaffinity(i32 %thread, i64 {MASK}, ptr %mask)
  %moved = icmp eq i32 %refused, 0
  %not = select i1 %moved, i32 %here, i32 %before
  store i32 %not, ptr %at.not
  br label %next

next:
  %k.next = add i32 %k, 1
  br label %each

done:
  ret void
}}

; In a set of processors: keep of one's bit what `kept` has, and add `added`. Both are for bit 0 of its byte.
define internal void @mark(ptr %mask, i32 %processor, i8 %added, i8 %kept) {{
  %byte = lshr i32 %processor, 3
  %place = getelementptr i8, ptr %mask, i32 %byte
  %bit = and i32 %processor, 7
  %by = trunc i32 %bit to i8
  %value = load i8, ptr %place
  %turned = call i8 @llvm.fshr.i8(i8 %value, i8 %value, i8 %by)
  %masked = and i8 %turned, %kept
  %marked = or i8 %masked, %added
  %result = call i8 @llvm.fshl.i8(i8 %marked, i8 %marked, i8 %by)
  store i8 %result, ptr %place
  ret void
}}

; What a worker does: it sleeps until there is a job. It does not return.
define void @work(i64 %number) {{
entry:
  %index = call i64 @llvm.umin.i64(i64 %number, i64 {MOST_WORKERS - 1})
  %at = getelementptr [{MOST_WORKERS} x i32], ptr @asleep_on, i64 0, i64 %index
  br label %sleep

sleep:
  %here = call i32 @sched_getcpu()
  store atomic i32 %here, ptr %at monotonic, align 4
  %failed = call i32 @sem_wait(ptr @wake)
  %awake = icmp eq i32 %failed, 0
  br i1 %awake, label %help, label %sleep

help:
  %last = call i1 @take()
  br i1 %last, label %tell, label %sleep

tell:
  %told = call i32 @sem_post(ptr @finished)
  br label %sleep
}}

define internal i64 @now() {{
  %time = alloca [2 x i64]
  %ignored = call i32 @clock_gettime(i32 1, ptr %time)
  %seconds = load i64, ptr %time
  %place = getelementptr i64, ptr %time, i64 1
  %rest = load i64, ptr %place
  %whole = mul i64 %seconds, 1000000000
  %all = add i64 %whole, %rest
  ret i64 %all
}}

; Wait for a semaphore, the first {SPIN} ns awake.
define internal void @wait_for(ptr %semaphore) {{
entry:
  %since = call i64 @now()
  br label %try

try:
  %missed = call i32 @sem_trywait(ptr %semaphore)
  %got = icmp eq i32 %missed, 0
  br i1 %got, label %done, label %look

look:
  %at = call i64 @now()
  %spent = sub i64 %at, %since
  %soon = icmp slt i64 %spent, {SPIN}
  br i1 %soon, label %try, label %sleep

sleep:
  %failed = call i32 @sem_wait(ptr %semaphore)
  %told = icmp eq i32 %failed, 0
  br i1 %told, label %done, label %sleep

done:
  ret void
}}

; Run all blocks of a job, and return when they are done.
define void @spread(ptr %job) {{
entry:
  %count = call i64 @word(ptr %job, i64 4)
  %helpers = load atomic i32, ptr @helpers monotonic, align 4
  %alone = icmp eq i32 %helpers, 0
  br i1 %alone, label %serial, label %look

look:
  %began = call i64 @now()
  %until = load atomic i64, ptr @alone_until monotonic, align 8
  %crowded = icmp slt i64 %began, %until
  br i1 %crowded, label %serial, label %lock

lock:
  %exchange = cmpxchg ptr @busy, i32 0, i32 1 acquire monotonic
  %free = extractvalue {{ i32, i1 }} %exchange, 1
  br i1 %free, label %publish, label %serial

publish:
  store atomic i64 %count, ptr @pending monotonic, align 8
  store atomic ptr %job, ptr @job monotonic, align 8
  %old = load atomic i64, ptr @ticket monotonic, align 8
  %number = lshr i64 %old, 32
  %number.next = add i64 %number, 1
  %upper = shl i64 %number.next, 32
  %ticket = or i64 %upper, %count
  store atomic i64 %ticket, ptr @ticket release, align 8
  call void @move_away()
  %others = sub i64 %count, 1
  %idle = zext i32 %helpers to i64
  %wanted = call i64 @llvm.umin.i64(i64 %others, i64 %idle)
  br label %call

call:
  %called = phi i64 [ 0, %publish ], [ %called.next, %called.one ]
  %enough = icmp uge i64 %called, %wanted
  br i1 %enough, label %help, label %called.one

called.one:
  %posted = call i32 @sem_post(ptr @wake)
  %called.next = add i64 %called, 1
  br label %call

help:
  %last = call i1 @take()
  br i1 %last, label %unlock, label %wait

wait:
  %idle.since = call i64 @now()
  call void @wait_for(ptr @finished)
  %complete = call i64 @now()
  %waited = sub i64 %complete, %idle.since
  %worked = sub i64 %idle.since, %began
  %patience = add i64 %worked, {PATIENCE}
  %late = icmp sgt i64 %waited, %patience
  br i1 %late, label %give.up, label %unlock

give.up:
  %times = mul i64 %waited, {ALONE}
  %pause = call i64 @llvm.umin.i64(i64 %times, i64 {LONGEST_ALONE})
  %until.next = add i64 %complete, %pause
  store atomic i64 %until.next, ptr @alone_until monotonic, align 8
  br label %unlock

unlock:
  store atomic i32 0, ptr @busy release, align 4
  ret void

serial:
  %any = icmp ugt i64 %count, 0
  br i1 %any, label %each, label %done

each:
  %k = phi i64 [ 0, %serial ], [ %k.next, %each ]
  call void @block(ptr %job, i64 %k)
  %k.next = add i64 %k, 1
  %more = icmp ult i64 %k.next, %count
  br i1 %more, label %each, label %done

done:
  ret void
}}

; ------------------------------------------------------------------------------------------------ memory
@limit = global i64 0
@held = global i64 0
@clock = internal global i64 0
@places = internal global [{PLACES} x ptr] zeroinitializer
@array_type = global ptr null
@array_new = global ptr null
@set_handler = global ptr null
@handler = global ptr null

declare ptr @malloc(i64)
declare void @free(ptr)
declare i32 @madvise(ptr, i64, i32)
declare void @Py_DecRef(ptr)

define internal i64 @capacity(ptr %data) alwaysinline {{
  %place = getelementptr i8, ptr %data, i64 -56
  %value = load i64, ptr %place
  ret i64 %value
}}

define internal void @give_back(ptr %data) {{
  %place = getelementptr i8, ptr %data, i64 -64
  %block = load ptr, ptr %place
  call void @free(ptr %block)
  ret void
}}

; A block with its header; null where there is no memory.
define internal ptr @fresh(i64 %size) {{
entry:
  %total = add i64 %size, 128
  %block = call ptr @malloc(i64 %total)
  %none = icmp eq ptr %block, null
  br i1 %none, label %failed, label %made

failed:
  ret ptr null

made:
  %number = ptrtoint ptr %block to i64
  %later = add i64 %number, 127
  %aligned = and i64 %later, -64
  %data = inttoptr i64 %aligned to ptr
  %place = getelementptr i8, ptr %data, i64 -64
  store ptr %block, ptr %place
  %place.size = getelementptr i8, ptr %data, i64 -56
  store i64 %size, ptr %place.size
  %large = icmp uge i64 %size, {HUGE}
  br i1 %large, label %advise, label %done

advise:
  %up = add i64 %aligned, 4095
  %first = and i64 %up, -4096
  %end = add i64 %aligned, %size
  %length = sub i64 %end, %first
  %pages = and i64 %length, -4096
  %start = inttoptr i64 %first to ptr
  %ignored = call i32 @madvise(ptr %start, i64 %pages, i32 14)
  br label %done

done:
  ret ptr %data
}}

define internal void @evict(i64 %number) {{
entry:
  %place = getelementptr [{PLACES} x ptr], ptr @places, i64 0, i64 %number
  %data = load ptr, ptr %place
  %empty = icmp eq ptr %data, null
  br i1 %empty, label %done, label %drop

drop:
  store ptr null, ptr %place
  %bytes = call i64 @capacity(ptr %data)
  %held = load i64, ptr @held
  %less = sub i64 %held, %bytes
  store i64 %less, ptr @held
  call void @give_back(ptr %data)
  br label %done

done:
  ret void
}}

; The smallest kept block that is large enough and at most a quarter too large; else a fresh one.
define ptr @pool_malloc(ptr %context, i64 %size) {{
entry:
  %quarter = lshr i64 %size, 2
  %most = add i64 %size, %quarter
  br label %each

each:
  %k = phi i64 [ 0, %entry ], [ %k.next, %next ]
  %best = phi i64 [ -1, %entry ], [ %best.next, %next ]
  %best.size = phi i64 [ -1, %entry ], [ %best.size.next, %next ]
  %place = getelementptr [{PLACES} x ptr], ptr @places, i64 0, i64 %k
  %data = load ptr, ptr %place
  %empty = icmp eq ptr %data, null
  br i1 %empty, label %next, label %look

look:
  %bytes = call i64 @capacity(ptr %data)
  %enough = icmp uge i64 %bytes, %size
  %close = icmp ule i64 %bytes, %most
  %better = icmp ult i64 %bytes, %best.size
  %fits = and i1 %enough, %close
  %chosen = and i1 %fits, %better
  %best.new = select i1 %chosen, i64 %k, i64 %best
  %best.size.new = select i1 %chosen, i64 %bytes, i64 %best.size
  br label %next

next:
  %best.next = phi i64 [ %best, %each ], [ %best.new, %look ]
  %best.size.next = phi i64 [ %best.size, %each ], [ %best.size.new, %look ]
  %k.next = add i64 %k, 1
  %more = icmp ult i64 %k.next, {PLACES}
  br i1 %more, label %each, label %end

end:
  %none = icmp eq i64 %best.next, -1
  br i1 %none, label %new, label %old

new:
  %made = call ptr @fresh(i64 %size)
  ret ptr %made

old:
  %from = getelementptr [{PLACES} x ptr], ptr @places, i64 0, i64 %best.next
  %found = load ptr, ptr %from
  store ptr null, ptr %from
  %held = load i64, ptr @held
  %less = sub i64 %held, %best.size.next
  store i64 %less, ptr @held
  ret ptr %found
}}

; Keep a block, and give others back until all that are kept fit in the limit.
define void @pool_free(ptr %context, ptr %data, i64 %size) {{
entry:
  %null = icmp eq ptr %data, null
  br i1 %null, label %done, label %given

given:
  %bytes = call i64 @capacity(ptr %data)
  %limit = load i64, ptr @limit
  %never = icmp ugt i64 %bytes, %limit
  br i1 %never, label %return, label %keep

return:
  call void @give_back(ptr %data)
  br label %done

keep:
  %clock = load i64, ptr @clock
  %number = urem i64 %clock, {PLACES}
  %clock.next = add i64 %number, 1
  store i64 %clock.next, ptr @clock
  call void @evict(i64 %number)
  br label %room

room:
  %k = phi i64 [ %number, %keep ], [ %k.next, %make ]
  %held = load i64, ptr @held
  %with = add i64 %held, %bytes
  %fits = icmp ule i64 %with, %limit
  br i1 %fits, label %store, label %make

make:
  %k.after = add i64 %k, 1
  %k.next = urem i64 %k.after, {PLACES}
  call void @evict(i64 %k.next)
  br label %room

store:
  %place = getelementptr [{PLACES} x ptr], ptr @places, i64 0, i64 %number
  store ptr %data, ptr %place
  store i64 %with, ptr @held
  br label %done

done:
  ret void
}}

define ptr @pool_calloc(ptr %context, i64 %count, i64 %each) {{
entry:
  %size = mul i64 %count, %each
  %data = call ptr @pool_malloc(ptr %context, i64 %size)
  %none = icmp eq ptr %data, null
  br i1 %none, label %done, label %clear

clear:
  call void @llvm.memset.p0.i64(ptr %data, i8 0, i64 %size, i1 false)
  br label %done

done:
  ret ptr %data
}}

define ptr @pool_realloc(ptr %context, ptr %old, i64 %size) {{
entry:
  %data = call ptr @pool_malloc(ptr %context, i64 %size)
  %none = icmp eq ptr %data, null
  %new = icmp eq ptr %old, null
  %nothing = or i1 %none, %new
  br i1 %nothing, label %done, label %move

move:
  %bytes = call i64 @capacity(ptr %old)
  %common = call i64 @llvm.umin.i64(i64 %bytes, i64 %size)
  call void @llvm.memcpy.p0.p0.i64(ptr %data, ptr %old, i64 %common, i1 false)
  call void @pool_free(ptr %context, ptr %old, i64 0)
  br label %done

done:
  ret ptr %data
}}

define void @pool_clear() {{
entry:
  br label %each

each:
  %k = phi i64 [ 0, %entry ], [ %k.next, %each ]
  call void @evict(i64 %k)
  %k.next = add i64 %k, 1
  %more = icmp ult i64 %k.next, {PLACES}
  br i1 %more, label %each, label %done

done:
  ret void
}}

; Memory for temporaries, aligned to 64 bytes.
define ptr @scratch(i64 %size) {{
entry:
  %large = icmp uge i64 %size, {LARGE}
  br i1 %large, label %pool, label %plain

pool:
  %kept = call ptr @pool_malloc(ptr null, i64 %size)
  ret ptr %kept

plain:
  %made = call ptr @fresh(i64 %size)
  ret ptr %made
}}

define void @release(ptr %data) {{
entry:
  %bytes = call i64 @capacity(ptr %data)
  %large = icmp uge i64 %bytes, {LARGE}
  br i1 %large, label %pool, label %plain

pool:
  call void @pool_free(ptr null, ptr %data, i64 0)
  ret void

plain:
  call void @give_back(ptr %data)
  ret void
}}

; A new array, made by NumPy, in C order or with these strides; a large one owns memory of the pool.
define ptr @new_array(i32 %rank, ptr %shape, ptr %strides, i32 %dtype, i64 %bytes) {{
entry:
  %type = load ptr, ptr @array_type
  %new = load ptr, ptr @array_new
  %large = icmp uge i64 %bytes, {LARGE}
  br i1 %large, label %pool, label %plain

plain:
  %small = call ptr %new(ptr %type, i32 %rank, ptr %shape, i32 %dtype, ptr %strides, ptr null, i32 0, i32 0, ptr null)
  ret ptr %small

pool:
  %set = load ptr, ptr @set_handler
  %handler = load ptr, ptr @handler
  %before = call ptr %set(ptr %handler)
  %refused = icmp eq ptr %before, null
  br i1 %refused, label %failed, label %make

failed:
  ret ptr null

make:
  %made = call ptr %new(ptr %type, i32 %rank, ptr %shape, i32 %dtype, ptr %strides, ptr null, i32 0, i32 0, ptr null)
  %ours = call ptr %set(ptr %before)
  call void @Py_DecRef(ptr %before)
  call void @Py_DecRef(ptr %ours)
  ret ptr %made
}}
"""
