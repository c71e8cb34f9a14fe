// Stress test of store and mailboxes: ranks as threads of one process (for sanitizers, which see one mapping only) or as processes.
//
// Neighbours share EPR pairs; every half is then moved round the ranks, copied, un-copied and rotated, while the ranks entangle and
// measure qubits of their own and all hold a part of one GHZ state. The law: U (x) U* leaves |00>+|11> as it is, so with the same real
// rotation on both halves their outcomes agree in the end, wherever the halves are; so do those of the GHZ state.
//
// usage: stress threads|processes [ranks] [rounds] [seed]
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <random>
#include <thread>
#include <vector>

#include "runtime/session.h"

namespace {

using namespace qmpi;

constexpr int slots = 6;  // 2j holds a left half, 2j + 1 a right one
constexpr int chain_tag = 1000;
constexpr std::int64_t slice_us = 500;
constexpr int ballast = 2;  // qubits by which each rank makes the GHZ component larger, so that its lock is worth waiting for

struct Plan {
  int ranks, rounds;
  std::uint64_t seed;
  double angle(int round, int pair) const { return number(round, pair, 1) * 6.28; }
  int shift(int round, int slot) const { return static_cast<int>(number(round, slot, 2) * ranks); }
  double number(int a, int b, std::uint64_t what) const {
    return uniform_draw(seed, Stream::user, static_cast<std::uint32_t>(what), static_cast<std::uint64_t>(a), static_cast<std::uint64_t>(b));
  }
};

// One rank's program. outcomes[pair * 2 + side] and ghz[rank] are its only results.
class Rank {
 public:
  Rank(std::shared_ptr<Arena> arena, int rank, Plan plan, std::atomic<int>* outcomes, std::atomic<int>* ghz)
      : session_(std::move(arena), rank), rank_(rank), plan_(plan), outcomes_(outcomes), ghz_(ghz), random_(plan.seed + static_cast<std::uint64_t>(rank)), everybody_(static_cast<std::size_t>(plan.ranks)) {
    std::iota(everybody_.begin(), everybody_.end(), 0);
    session_.store().set_planned_from(4);  // so that gates wait in the store here, too
  }

  void run() {
    for (int slot = 0; slot < slots; ++slot) halves_.push_back(session_.allocate(patience_));
    share_pairs();
    spread_ghz();
    for (int round = 0; round < plan_.rounds; ++round) {
      rotate(round);
      own_work();
      move(round);
      if (round % 4 == rank_ % 4) session_.flush(patience_);
      copy_and_undo(round);
      broadcast_and_undo(round);
      race();
    }
    for (int slot = 0; slot < slots; ++slot) outcomes_[origin(plan_.rounds, slot) * slots + slot] = session_.measure(halves_[slot], patience_);
    ghz_[rank_] = session_.measure(ghz_part_, patience_);
    for (const HandleName name : ballast_) session_.measure(name, patience_);
  }

 private:
  void gate(const char* name, std::vector<double> parameters, std::vector<HandleName> qubits) {
    const int code = gate_code(name);
    const auto controls = static_cast<std::size_t>(gate_table()[code].controls);
    session_.gate(code, parameters, std::span(qubits).first(controls), std::span(qubits).subspan(controls), {});
  }
  // As runtime/watch.py waits, but public after a moment: nobody may ever be told of a deadlock, for there is none.
  void finish(Ticket& ticket) {
    if (!session_.wait(ticket, slice_us, patience_)) {
      const Ticket* one = &ticket;
      session_.publish({&one, 1}, everybody_, "finish", patience_);
      do session_.look({}, patience_);
      while (!session_.wait(ticket, slice_us, patience_));
    }
    session_.settle(ticket, patience_);
    if (ticket.failure != Failure::none) throw Error("MessageError", "a ticket failed");
  }
  int wrap(int rank) const { return ((rank % plan_.ranks) + plan_.ranks) % plan_.ranks; }

  // The rank whose pair is now in this slot of ours.
  int origin(int round, int slot) const {
    int travelled = slot % 2;  // a right half starts one rank on
    for (int t = 0; t < round; ++t) travelled += plan_.shift(t, slot);
    return wrap(rank_ - travelled);
  }

  void share_pairs() {
    std::vector<Ticket> tickets;
    for (int slot = 0; slot < slots; ++slot) {
      const int peer = wrap(slot % 2 ? rank_ - 1 : rank_ + 1);
      // With two ranks both neighbours are the same one: the tag tells the pairs apart.
      const int left = slot % 2 ? peer : rank_;
      tickets.push_back(session_.meet({&halves_[slot], 1}, peer, 2, left * slots + slot / 2, patience_));
    }
    for (Ticket& ticket : tickets) finish(ticket);
  }

  // Rank 0 makes |+>; each rank keeps one part and copies it on.
  void spread_ghz() {
    if (rank_ == 0) {
      ghz_part_ = session_.allocate(patience_);
      gate("h", {}, {ghz_part_});
    } else {
      Ticket ticket = session_.receive(Verb::copy, {}, true, rank_ - 1, 0, chain_tag, 0, 0, patience_);
      finish(ticket);
      ghz_part_ = ticket.arrived.at(0);
    }
    if (rank_ + 1 < plan_.ranks) {
      Ticket ticket = session_.send(Verb::copy, {&ghz_part_, 1}, rank_ + 1, 0, chain_tag, 0, Mode::standard, patience_);
      finish(ticket);
    }
    for (int k = 0; k < ballast; ++k) {
      ballast_.push_back(session_.allocate(patience_));
      gate("cx", {}, {ghz_part_, ballast_.back()});
    }
  }

  void rotate(int round) {
    for (int slot = 0; slot < slots; ++slot) gate("ry", {plan_.angle(round, origin(round, slot) * slots + slot / 2)}, {halves_[slot]});
    gate("rz", {0.1}, {ghz_part_});
    for (const HandleName name : ballast_) gate("crx", {0.1}, {ghz_part_, name});
  }

  // Components grow, shrink and fall apart meanwhile.
  void own_work() {
    std::vector<HandleName> mine;
    const int count = 2 + static_cast<int>(random_() % 5);
    for (int k = 0; k < count; ++k) mine.push_back(session_.allocate(patience_));
    gate("h", {}, {mine[0]});
    for (int k = 1; k < count; ++k) gate("cx", {}, {mine[0], mine[k]});
    const int first = session_.measure(mine[0], patience_);
    for (const HandleName name : mine)
      if (session_.measure(name, patience_) != first) throw Error("QubitError", "a local GHZ state disagrees with itself");
    session_.free(mine, patience_);
  }

  void move(int round) {
    std::vector<Ticket> tickets;
    for (int slot = 0; slot < slots; ++slot) {
      const int shift = plan_.shift(round, slot);
      if (shift == 0) continue;
      tickets.push_back(session_.send(Verb::move, {&halves_[slot], 1}, wrap(rank_ + shift), 0, slot, 0, Mode::standard, patience_));
    }
    for (Ticket& ticket : tickets) finish(ticket);
    tickets.clear();
    for (int slot = 0; slot < slots; ++slot) {
      const int shift = plan_.shift(round, slot);
      if (shift == 0) continue;
      tickets.push_back(session_.receive(Verb::move, {&halves_[slot], 1}, false, wrap(rank_ - shift), 0, slot, 0, 0, patience_));
    }
    for (Ticket& ticket : tickets) finish(ticket);
  }

  // Half of a pair is measured while the other half is rotated: whoever comes first, a measured qubit stays as it was found.
  void race() {
    HandleName half = session_.allocate(patience_);
    const int peer = rank_ ^ 1;
    if (peer < plan_.ranks) {
      Ticket ticket = session_.meet({&half, 1}, peer, 2, chain_tag, patience_);
      finish(ticket);
      if (rank_ < peer) gate("ry", {0.9}, {half});
      const int bit = session_.measure(half, patience_);
      if (session_.probability(half, patience_) != bit) throw Error("QubitError", "a measured qubit has changed");
    }
    session_.free({&half, 1}, patience_);
  }

  // A copy to the next rank and back is the identity.
  void copy_and_undo(int round) {
    const int next = wrap(rank_ + 1), previous = wrap(rank_ - 1), tag = slots + round;
    Ticket sent = session_.send(Verb::copy, {&halves_[0], 1}, next, 0, tag, 0, Mode::standard, patience_);
    Ticket received = session_.receive(Verb::copy, {}, true, previous, 0, tag, 0, 0, patience_);
    finish(received);
    finish(sent);
    Ticket returned = session_.send(Verb::uncopy, received.arrived, previous, 1, 0, received.operation, Mode::standard, patience_);
    finish(returned);
    Ticket undone = session_.receive(Verb::uncopy, {&halves_[0], 1}, false, next, 1, any_tag, sent.operation, 0, patience_);
    finish(undone);
    session_.free(received.arrived, patience_);
  }

  // The same to all ranks along a binomial tree, as one part: whoever makes a step possible goes on with it, for whichever rank. The first
  // gate needs nothing that is under way, so it comes before a fence.
  void broadcast_and_undo(int round) {
    const int root = round % plan_.ranks, position = wrap(rank_ - root), reach = position ? position & -position : plan_.ranks;
    const HandleName qubit = root == rank_ ? halves_[0] : session_.allocate(patience_);
    std::vector<HandleName> own;
    for (int k = 0; k < 3; ++k) own.push_back(session_.allocate(patience_));
    gate("h", {}, {own[0]});
    gate("cx", {}, {own[0], own[1]});
    const HandleName other = own[2];
    PartList list;
    const std::uint32_t place = session_.place(list, qubit);
    const auto message = [&](PartStep::Kind kind, Verb verb, int peer) {
      PartStep step;
      step.kind = kind;
      step.verb = verb;
      step.peer = wrap(peer + root);
      step.tag = chain_tag;
      list.name(step, {&place, 1}, true);
      list.add(step);
    };
    std::vector<int> children;
    for (int k = 1; k < reach && position + k < plan_.ranks; k *= 2) children.push_back(position + k);
    if (position) message(PartStep::Kind::receive, Verb::copy, position - reach);
    for (const int child : children) message(PartStep::Kind::send, Verb::copy, child);
    session_.record(patience_);
    gate("cx", {}, {own[0], other});
    gate("cry", {0.3}, {qubit, other});
    gate("cry", {-0.3}, {qubit, other});
    gate("cx", {}, {own[1], other});
    const HandleName named[] = {qubit, other, own[0], own[1]};
    session_.recorded(list, named);
    for (const int child : children) message(PartStep::Kind::receive, Verb::uncopy, child);
    if (position) message(PartStep::Kind::send, Verb::uncopy, position - reach);
    Ticket ticket = session_.post(list, 3, (1ull << 63) + static_cast<std::uint64_t>(round), patience_);
    finish(ticket);
    session_.free({&other, 1}, patience_);
    for (int k = 0; k < 2; ++k) session_.measure(own[k], patience_);
    session_.free({own.data(), 2}, patience_);
    if (position) session_.free({&qubit, 1}, patience_);
  }

  Patience patience_;
  Session session_;
  int rank_;
  Plan plan_;
  std::atomic<int>*outcomes_, *ghz_;
  std::mt19937_64 random_;
  std::vector<std::int32_t> everybody_;
  std::vector<HandleName> halves_, ballast_;
  HandleName ghz_part_{};
};

bool run_rank(const std::shared_ptr<Arena>& arena, int rank, const Plan& plan, std::atomic<int>* outcomes, std::atomic<int>* ghz) {
  try {
    Rank(arena, rank, plan, outcomes, ghz).run();
    return true;
  } catch (const Error& error) {
    std::fprintf(stderr, "rank %d: %s: %s\n", rank, error.kind(), error.what());
    std::_Exit(1);  // the others would wait
  }
}

bool run(bool processes, const Plan& plan, bool faithful, bool single_precision) {
  Settings settings;
  settings.ranks = plan.ranks;
  settings.seed = plan.seed;
  settings.faithful = faithful;
  settings.single_precision = single_precision;
  settings.memory = 64 << 20;
  settings.heap = 1 << 30;
  const std::shared_ptr<Arena> arena = Arena::create(settings);
  const std::size_t results = static_cast<std::size_t>(plan.ranks) * (slots + 1);
  void* shared = mmap(nullptr, results * sizeof(std::atomic<int>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  auto* outcomes = static_cast<std::atomic<int>*>(shared);
  std::atomic<int>* ghz = outcomes + plan.ranks * slots;

  bool good = true;
  if (processes) {
    std::vector<pid_t> children;
    for (int rank = 0; rank < plan.ranks; ++rank) {
      const pid_t child = fork();
      if (child == 0) std::_Exit(run_rank(Arena::attach(dup(arena->descriptor())), rank, plan, outcomes, ghz) ? 0 : 1);
      children.push_back(child);
    }
    for (std::size_t left = children.size(); left > 0; --left) {
      int status = 1;
      wait(&status);
      if (status == 0) continue;
      good = false;  // the others may wait for the one that failed
      for (const pid_t child : children) kill(child, SIGKILL);
    }
  } else {
    std::vector<std::thread> threads;
    for (int rank = 0; rank < plan.ranks; ++rank) threads.emplace_back([&, rank] { run_rank(arena, rank, plan, outcomes, ghz); });
    for (std::thread& thread : threads) thread.join();
  }

  for (int rank = 0; rank < plan.ranks; ++rank) {
    for (int left = 0; left < slots; left += 2) good = good && outcomes[rank * slots + left] == outcomes[rank * slots + left + 1];
    good = good && ghz[rank] == ghz[0];
  }
  const Statistics& statistics = arena->header().statistics;
  good = good && statistics.components == 0 && statistics.entangled_qubits == 0 && statistics.bytes == 0;
  std::printf("%s, %s, %s: %lld merges, %lld waits: %s\n", processes ? "processes" : "threads", faithful ? "faithful" : "fast",
              single_precision ? "complex64" : "complex128", static_cast<long long>(statistics.merges.load()),
              static_cast<long long>(statistics.waits.load()), good ? "ok" : "FAILED");
  std::fflush(stdout);
  munmap(shared, results * sizeof(std::atomic<int>));
  return good;
}

}  // namespace

int main(int count, char** arguments) {
  const bool processes = count > 1 && std::strcmp(arguments[1], "processes") == 0;
  Plan plan{count > 2 ? std::atoi(arguments[2]) : 4, count > 3 ? std::atoi(arguments[3]) : 50, count > 4 ? std::strtoull(arguments[4], nullptr, 10) : 1};
  if (plan.ranks < 2 || plan.rounds < 1) {
    std::fprintf(stderr, "usage: stress threads|processes [ranks >= 2] [rounds] [seed]\n");
    return 2;
  }
  std::printf("%d ranks, %d rounds, seed %llu\n", plan.ranks, plan.rounds, static_cast<unsigned long long>(plan.seed));
  bool good = true;
  for (const bool faithful : {false, true})
    for (const bool single_precision : {false, true}) good = run(processes, plan, faithful, single_precision) && good;
  return good ? 0 : 1;
}
