#ifndef TRIBUTARY_BATCH_LAYER_MODELS_PARALLEL_H_
#define TRIBUTARY_BATCH_LAYER_MODELS_PARALLEL_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

namespace tributary::batch {

// Calls `work(begin, end, worker)` for the blocks [0, block), [block, 2 block) ... of [0, n), each once, on `threads`
// threads (the caller's among them), and returns when all are done.
//
// The blocks depend on n and `block` alone. A kernel whose block writes only what belongs to it, and computes that from the
// block alone, gives the same bits on any number of threads. `worker` is in [0, threads): for buffers.
// `work` must not throw. n = 0: nothing is called.
template <typename Work>
void ForEachBlock(size_t n, size_t block, int threads, const Work& work) {
  const size_t blocks = (n + block - 1) / block;
  std::atomic<size_t> next = 0;
  const auto run = [&](int worker) {
    for (size_t b = next++; b < blocks; b = next++) {
      work(b * block, std::min(n, (b + 1) * block), worker);
    }
  };
  std::vector<std::jthread> others;
  for (int worker = 1; worker < threads && static_cast<size_t>(worker) < blocks; ++worker) {
    others.emplace_back(run, worker);
  }
  run(0);
}

}  // namespace tributary::batch

#endif  // TRIBUTARY_BATCH_LAYER_MODELS_PARALLEL_H_
