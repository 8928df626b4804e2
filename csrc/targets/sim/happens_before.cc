#include "csrc/targets/sim/happens_before.h"

#include <algorithm>

namespace switchyard::sim {

bool Knowledge::has(int of_warp, std::uint32_t moment) const {
  if (of_warp == warp) {
    return moment <= time;
  }
  const auto index = static_cast<std::size_t>(of_warp);
  return index < clock->size() && (*clock)[index] >= moment;
}

void HappensBefore::add_warp() {
  clocks_.push_back(std::make_shared<const Clock>());
}

Knowledge HappensBefore::at(int warp, std::uint32_t time) const {
  return {warp, time, clocks_[static_cast<std::size_t>(warp)]};
}

void HappensBefore::join(int into, const Knowledge& known) {
  auto& own = clocks_[static_cast<std::size_t>(into)];
  // Knowledge of a warp at a moment holds all that it knew at earlier ones.
  if (into == known.warp || at(into, 0).has(known.warp, known.time)) {
    return;
  }
  auto joined = std::make_shared<Clock>(*own);
  joined->resize(clocks_.size());
  for (std::size_t i = 0; i < known.clock->size(); ++i) {
    (*joined)[i] = std::max((*joined)[i], (*known.clock)[i]);
  }
  auto& of_warp = (*joined)[static_cast<std::size_t>(known.warp)];
  of_warp = std::max(of_warp, known.time);
  own = std::move(joined);
}

void HappensBefore::release(const void* word, const Knowledge& known, bool adds) {
  std::vector<Knowledge>& there = released_[word];
  if (!adds) {
    there.clear();
  }
  there.push_back(known);
}

void HappensBefore::forget(const void* word) {
  released_.erase(word);
}

void HappensBefore::acquire(int warp, const void* word) {
  const auto there = released_.find(word);
  if (there != released_.end()) {
    for (const Knowledge& known : there->second) {
      join(warp, known);
    }
  }
}

bool HappensBefore::is_known(const Knowledge& known, const Access& access) {
  return access.warp_plus_one == 0 || known.has(access.warp_plus_one - 1, access.time);
}

HappensBefore::Cell& HappensBefore::cell(std::uintptr_t address) {
  std::unique_ptr<Page>& page = pages_[address / kPageBytes];
  if (page == nullptr) {
    page = std::make_unique<Page>();
  }
  return (*page)[address % kPageBytes / kCellBytes];
}

HappensBefore::Race HappensBefore::read(const Knowledge& known,
                                        const void* from,
                                        std::size_t bytes) {
  const auto begin = reinterpret_cast<std::uintptr_t>(from);
  for (std::uintptr_t at = begin; at < begin + bytes; at += kCellBytes) {
    Cell& here = cell(at);
    if (!is_known(known, here.writer)) {
      return {here.writer.warp_plus_one - 1, true, reinterpret_cast<const void*>(at)};
    }
    // Takes the place of a reader that it covers, else of the first.
    auto place = std::find_if(here.readers.begin(), here.readers.end(), [&](const Access& reader) {
      return is_known(known, reader);
    });
    place = place == here.readers.end() ? here.readers.begin() : place;
    *place = {known.warp + 1, known.time};
  }
  return {};
}

HappensBefore::Race HappensBefore::write(const Knowledge& known,
                                         const void* to,
                                         std::size_t bytes) {
  const auto begin = reinterpret_cast<std::uintptr_t>(to);
  for (std::uintptr_t at = begin; at < begin + bytes; at += kCellBytes) {
    Cell& here = cell(at);
    const auto reader = std::find_if(here.readers.begin(),
                                     here.readers.end(),
                                     [&](const Access& each) { return !is_known(known, each); });
    if (reader != here.readers.end()) {
      return {reader->warp_plus_one - 1, false, reinterpret_cast<const void*>(at)};
    }
    if (!is_known(known, here.writer)) {
      return {here.writer.warp_plus_one - 1, true, reinterpret_cast<const void*>(at)};
    }
    here = {{known.warp + 1, known.time}, {}};
  }
  return {};
}

}  // namespace switchyard::sim
