// Runs the rasteriser's GPU kernels on a processor: one block of threads after the other, in any
// order, and in a block each thread up to its next barrier before the next thread goes on. What a
// kernel computes must not depend on either order; where a barrier is missing, it does.
//
// Compiled with -DKERNELS="file". Whatever the kernels use of CUDA is defined here.

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>
#include <vector>

#define __global__
#define __device__
#define __shared__ static  // blocks run one at a time
#define __noinline__
#define __grid_constant__
#define __launch_bounds__(threads)

namespace {

using std::max;
using std::min;

struct {
    unsigned x;
} blockIdx, blockDim, threadIdx;

// Every thread is a fiber with its own stack. Past its start it is entered and left by jumps, which
// take no system call.
struct Fiber {
    jmp_buf here;
    bool started = false, finished = false;
    ucontext_t start;
    std::vector<char> stack = std::vector<char>(64 << 10);
};

jmp_buf scheduler;
std::vector<Fiber> fibers;

void leave(Fiber &fiber) {
    if (!_setjmp(fiber.here)) _longjmp(scheduler, 1);
}

void enter(Fiber &fiber) {
    if (_setjmp(scheduler)) return;
    if (fiber.started) _longjmp(fiber.here, 1);
    fiber.started = true;
    setcontext(&fiber.start);
}

void __syncthreads() {
    unsigned thread = threadIdx.x;
    leave(fibers[thread]);
    threadIdx.x = thread;
}

unsigned atomicAdd(unsigned *address, unsigned value) {
    unsigned old = *address;
    *address += value;
    return old;
}

unsigned long long atomicMax(unsigned long long *address, unsigned long long value) {
    unsigned long long old = *address;
    if (value > old) *address = value;
    return old;
}

unsigned __float_as_uint(float value) {
    unsigned bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

float __uint_as_float(unsigned bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

}  // namespace

#include KERNELS

namespace {

void (*kernel)(const Job);
Job job;

void run_fiber(unsigned thread) {
    for (;;) {
        threadIdx.x = thread;
        kernel(job);
        fibers[thread].finished = true;
        leave(fibers[thread]);
    }
}

std::vector<unsigned> shuffled(unsigned count, std::mt19937 &random) {
    std::vector<unsigned> order(count);
    std::iota(order.begin(), order.end(), 0u);
    std::shuffle(order.begin(), order.end(), random);
    return order;
}

void make_fibers(unsigned count) {
    fibers = std::vector<Fiber>(count);
    for (unsigned thread = 0; thread < count; ++thread) {
        ucontext_t &start = fibers[thread].start;
        getcontext(&start);
        start.uc_stack.ss_sp = fibers[thread].stack.data();
        start.uc_stack.ss_size = fibers[thread].stack.size();
        makecontext(&start, reinterpret_cast<void (*)()>(run_fiber), 1, thread);
    }
}

// Returns false if some threads of the block reached a barrier that others never did.
bool run_block(std::mt19937 &random) {
    for (;;) {
        unsigned ended = 0;
        for (unsigned thread : shuffled(fibers.size(), random)) {
            threadIdx.x = thread;
            fibers[thread].finished = false;
            enter(fibers[thread]);
            ended += fibers[thread].finished;
        }
        if (ended) return ended == fibers.size();
    }
}

}  // namespace

// Returns 0, or 1 where a block's threads do not all reach the same barriers.
extern "C" int emulate(void (*function)(const Job), unsigned blocks, unsigned block_threads,
                       const void *arguments, unsigned seed) {
    std::mt19937 random(seed);
    kernel = function;
    std::memcpy(static_cast<void *>(&job), arguments, sizeof job);
    blockDim.x = block_threads;
    if (fibers.size() != block_threads) make_fibers(block_threads);
    for (unsigned block : shuffled(blocks, random)) {
        blockIdx.x = block;
        if (!run_block(random)) {
            fibers.clear();
            return 1;
        }
    }
    return 0;
}

extern "C" std::size_t size_of_job() { return sizeof(Job); }
