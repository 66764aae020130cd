#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "tests/fuzz/fuzz_target.h"
#include "tests/reference/seed.h"

// Runs a fuzz target without libFuzzer.
//
//   NAME --runs N              every seed as it is, then N seeds changed at random (the same for the same TRIBUTARY_SEED)
//   NAME --runs N --keep FILE  the same, slower: the input that is running, which the process may die of, lies in FILE
//   NAME --write-seeds DIR     writes the seeds as files, a corpus for libFuzzer
//   NAME FILE...               runs the files, such as a crash that libFuzzer found
namespace tributary::fuzz {
namespace {

void RunInput(const std::string& input) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
}

class Mutator {
 public:
  Mutator(std::vector<std::string> seeds, uint64_t seed) : seeds_(std::move(seeds)), random_(seed) {}

  std::string Next() {
    std::string input = AnySeed();
    for (size_t changes = 1 + Pick(6); changes > 0; --changes) Change(&input);
    return input;
  }

 private:
  size_t Pick(size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random_); }
  const std::string& AnySeed() { return seeds_[Pick(seeds_.size())]; }

  void Change(std::string* input) {
    const size_t at = Pick(input->size() + 1);
    const size_t length = std::min(input->size() - at, 1 + Pick(8));
    switch (Pick(6)) {
      case 0:
        input->erase(at, length);
        break;
      case 1:
        input->insert(at, 1, AnyByte());
        break;
      case 2:
        input->insert(at, input->substr(at, length));
        break;
      case 3:
        input->resize(at);
        break;
      case 4: {
        const std::string& other = AnySeed();
        input->replace(at, length, other.substr(Pick(other.size() + 1), 1 + Pick(32)));
        break;
      }
      default:
        if (at < input->size()) (*input)[at] = OneIn(2) ? AnyByte() : static_cast<char>((*input)[at] ^ (1 << Pick(8)));
    }
  }

  bool OneIn(size_t n) { return Pick(n) == 0; }
  char AnyByte() {
    // Ends of ranges, structure of both formats, text that is not UTF-8.
    static constexpr unsigned char kBytes[] = {0, 1, 8, 10, 18, 26, 127, 128, 192, 255, '{', '}', '"', ':', '\\', ','};
    return static_cast<char>(OneIn(2) ? kBytes[Pick(std::size(kBytes))] : Pick(256));
  }

  std::vector<std::string> seeds_;
  std::mt19937_64 random_;
};

int WriteSeeds(const std::filesystem::path& dir) {
  std::filesystem::create_directories(dir);
  int number = 0;
  for (const std::string& seed : FuzzSeeds()) {
    std::ofstream(dir / ("seed-" + std::to_string(number++)), std::ios::binary) << seed;
  }
  return EXIT_SUCCESS;
}

int RunMutations(uint64_t runs, const std::string& keep) {
  for (const std::string& seed : FuzzSeeds()) RunInput(seed);
  Mutator mutator(FuzzSeeds(), reference::TestSeed());
  for (uint64_t run = 0; run < runs; ++run) {
    const std::string input = mutator.Next();
    if (!keep.empty()) std::ofstream(keep, std::ios::binary | std::ios::trunc) << input;
    RunInput(input);
  }
  std::cout << "inputs=" << runs << std::endl;
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace tributary::fuzz

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (args.size() >= 2 && args[0] == "--runs") {
    const bool keeps = args.size() == 4 && args[2] == "--keep";
    return tributary::fuzz::RunMutations(std::stoull(args[1]), keeps ? args[3] : "");
  }
  if (args.size() == 2 && args[0] == "--write-seeds") return tributary::fuzz::WriteSeeds(args[1]);
  if (args.empty()) {
    std::cerr << "usage: " << argv[0] << " --runs N [--keep FILE] | --write-seeds DIR | FILE...\n";
    return EXIT_FAILURE;
  }
  for (const std::string& file : args) {
    std::ifstream stream(file, std::ios::binary);
    if (!stream) {
      std::cerr << "input unreadable: file=" << file << "\n";
      return EXIT_FAILURE;
    }
    tributary::fuzz::RunInput({std::istreambuf_iterator<char>(stream), {}});
  }
  return EXIT_SUCCESS;
}
